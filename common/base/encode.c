/* The table-driven encodings of str.h. */
#include "common/base/str.h"

static const char std[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static char *encode(struct arena *a, const void *in, size_t n, const char *alphabet, bool pad)
{
    const unsigned char *s = in;
    char *out = arena_raw(a, (n + 2) / 3 * 4 + 1), *p = out;

    for (; n >= 3; n -= 3, s += 3) {
        *p++ = alphabet[s[0] >> 2];
        *p++ = alphabet[(s[0] & 3) << 4 | s[1] >> 4];
        *p++ = alphabet[(s[1] & 15) << 2 | s[2] >> 6];
        *p++ = alphabet[s[2] & 63];
    }
    if (n > 0) {
        unsigned second = n == 2 ? s[1] : 0;

        *p++ = alphabet[s[0] >> 2];
        *p++ = alphabet[(s[0] & 3) << 4 | second >> 4];
        if (n == 2)
            *p++ = alphabet[(second & 15) << 2];
        else if (pad)
            *p++ = '=';
        if (pad)
            *p++ = '=';
    }
    *p = '\0';
    return out;
}

static int value_of(char c, const char *alphabet)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == alphabet[62] ? 62 : c == alphabet[63] ? 63 : -1;
}

/* Strict: no foreign characters, and the bits that no byte uses are zero (one text a value). */
static bool decode(struct arena *a, const char *in, size_t n, const char *alphabet, void **ret,
                   size_t *ret_n)
{
    unsigned char *out;
    uint32_t bits = 0;
    size_t len = 0, have = 0;

    if (n % 4 == 1)
        return false;
    out = arena_raw(a, n / 4 * 3 + 3);
    for (size_t i = 0; i < n; i++) {
        int v = value_of(in[i], alphabet);

        if (v < 0)
            return false;
        bits = (bits << 6 | (uint32_t)v) & 0xFFFFFF;
        have += 6;
        if (have >= 8) {
            have -= 8;
            out[len++] = (unsigned char)(bits >> have);
        }
    }
    if (bits & ((1u << have) - 1))
        return false;
    out[len] = '\0';
    *ret = out;
    *ret_n = len;
    return true;
}

char *b64_encode(struct arena *a, const void *in, size_t n)
{
    return encode(a, in, n, std, true);
}

char *b64url_encode(struct arena *a, const void *in, size_t n)
{
    return encode(a, in, n, url, false);
}

bool b64_decode(struct arena *a, const char *in, void **ret, size_t *ret_n)
{
    size_t n = strlen(in);

    if (n % 4)
        return false;
    for (int i = 0; i < 2 && n > 0 && in[n - 1] == '='; i++)
        n--;
    return decode(a, in, n, std, ret, ret_n);
}

bool b64url_decode(struct arena *a, const char *in, void **ret, size_t *ret_n)
{
    return decode(a, in, strlen(in), url, ret, ret_n);
}

uint32_t crc32_of(const void *in, size_t n)
{
    /* Nibble table: small, and nothing hot is summed with it. */
    static const uint32_t table[16] = { 0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac,
                                        0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
                                        0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
                                        0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c };
    const unsigned char *p = in;
    uint32_t crc = 0xFFFFFFFF;

    for (size_t i = 0; i < n; i++) {
        crc = table[(crc ^ p[i]) & 15] ^ crc >> 4;
        crc = table[(crc ^ (uint32_t)p[i] >> 4) & 15] ^ crc >> 4;
    }
    return ~crc;
}
