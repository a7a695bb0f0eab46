// People with an account.
import { ContentList } from './content-list';
export default function Users() {
  return <ContentList of="users" />;
}
