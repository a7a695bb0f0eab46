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

/* Four bytes a step: each key that comes in is summed before it is looked up. */
enum { crc_lanes = 4, crc_values = 256 };
static uint32_t crc_table[crc_lanes][crc_values];

__attribute__((constructor)) static void make_crc_table(void)
{
    const uint32_t polynomial = 0xedb88320;
    for (uint32_t v = 0; v < crc_values; v++) {
        uint32_t crc = v;
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ polynomial : crc >> 1;
        crc_table[0][v] = crc;
    }
    for (uint32_t v = 0; v < crc_values; v++)
        for (int lane = 1; lane < crc_lanes; lane++) {
            uint32_t before = crc_table[lane - 1][v];
            crc_table[lane][v] = before >> 8 ^ crc_table[0][before & 255];
        }
}

uint32_t crc32_of(const void *in, size_t n)
{
    const unsigned char *p = in;
    uint32_t crc = 0xFFFFFFFF;

    for (; n >= crc_lanes; n -= crc_lanes, p += crc_lanes) {
        crc ^= (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
        crc = crc_table[3][crc & 255] ^ crc_table[2][crc >> 8 & 255] ^
              crc_table[1][crc >> 16 & 255] ^ crc_table[0][crc >> 24];
    }
    for (; n > 0; n--, p++)
        crc = crc_table[0][(crc ^ *p) & 255] ^ crc >> 8;
    return ~crc;
}
