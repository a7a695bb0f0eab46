export const hints: Record<string, string> = {};
