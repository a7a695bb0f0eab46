/* What the formats of proto/entity.h mean. */
#include "common/base/str.h"
#include "common/kit/shape.h"

#include <ctype.h>

static bool all(const char *s, int (*is)(int), const char *also)
{
    for (; *s; s++)
        if (!is((unsigned char)*s) && !strchr(also, *s))
            return false;
    return true;
}

static bool ascii(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s <= 0x20 || (unsigned char)*s >= 0x7f)
            return false;
    return true;
}

/* Labels of letters, digits and inner hyphens, with at least `dots` dots. */
static bool host_ok(const char *s, size_t n, unsigned dots)
{
    size_t label = 0;
    if (!n || n > 253)
        return false;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c == '.') {
            if (!label || s[i - 1] == '-')
                return false;
            label = 0;
            dots -= dots > 0;
            continue;
        }
        if (!isalnum(c) && !(c == '-' && label))
            return false;
        if (++label > 63)
            return false;
    }
    return label && s[n - 1] != '-' && !dots;
}

static bool email_ok(const char *s)
{
    const char *at = strrchr(s, '@');
    if (!at || at == s || at - s > 64 || !ascii(s) || strlen(s) > 254)
        return false;
    if (s[0] == '.' || at[-1] == '.')
        return false;
    for (const char *p = s; p < at; p++)
        if (!isalnum((unsigned char)*p) &&
            (!strchr("!#$%&'*+/=?^_`{|}~.-", *p) || (*p == '.' && p[1] == '.')))
            return false;
    return host_ok(at + 1, strlen(at + 1), 1);
}

static bool url_ok(const char *s)
{
    const char *p = str_starts(s, "https://") ? s + 8 : str_starts(s, "http://") ? s + 7 : NULL;
    if (!p || !ascii(s) || strpbrk(s, "\"<>\\^`{|}"))
        return false;
    size_t n = strcspn(p, "/?#");
    if (memchr(p, '@', n)) /* no credentials in stored addresses */
        return false;
    const char *colon = memchr(p, ':', n);
    if (*p == '[') {
        const char *end = memchr(p, ']', n);
        if (!end || end - p < 3)
            return false;
        for (const char *q = p + 1; q < end; q++)
            if (!isxdigit((unsigned char)*q) && *q != ':' && *q != '.')
                return false;
        colon = end + 1 < p + n ? end + 1 : NULL;
        if (colon && *colon != ':')
            return false;
    } else if (!host_ok(p, colon ? (size_t)(colon - p) : n, 0)) {
        return false;
    }
    if (!colon)
        return true;
    char port[8] = "";
    size_t digits = n - (size_t)(colon + 1 - p);
    int64_t v;
    if (!digits || digits > 5)
        return false;
    memcpy(port, colon + 1, digits);
    return str_to_i64(port, 1, 65535, &v);
}

static bool slug_ok(const char *s)
{
    bool other = false;
    for (size_t i = 0; s[i]; i++) {
        if (s[i] == '-') {
            if (!i || s[i - 1] == '-' || !s[i + 1])
                return false;
            other = true;
        } else if (s[i] >= 'a' && s[i] <= 'z') {
            other = true;
        } else if (!isdigit((unsigned char)s[i])) {
            return false;
        }
    }
    return other;
}

/* BCP 47: a primary subtag of 2-8 letters, then subtags of 1-8 letters and digits. */
static bool language_ok(const char *s)
{
    size_t n = strcspn(s, "-");
    if (n < 2 || n > 8)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!isalpha((unsigned char)s[i]))
            return false;
    for (s += n; *s; s += n) {
        n = strcspn(++s, "-");
        if (n < 1 || n > 8)
            return false;
        for (size_t i = 0; i < n; i++)
            if (!isalnum((unsigned char)s[i]))
                return false;
    }
    return true;
}

/* The assigned alpha-2 codes, two letters each. */
static const char countries[] =
    "ADAEAFAGAIALAMAOAQARASATAUAWAXAZBABBBDBEBFBGBHBIBJBLBMBNBOBQBRBSBTBVBWBYBZCACCCDCFCGCHCICKCLCM"
    "CNCOCRCUCVCWCXCYCZDEDJDKDMDODZECEEEGEHERESETFIFJFKFMFOFRGAGBGDGEGFGGGHGIGLGMGNGPGQGRGSGTGUGWGY"
    "HKHMHNHRHTHUIDIEILIMINIOIQIRISITJEJMJOJPKEKGKHKIKMKNKPKRKWKYKZLALBLCLILKLRLSLTLULVLYMAMCMDMEMF"
    "MGMHMKMLMMMNMOMPMQMRMSMTMUMVMWMXMYMZNANCNENFNGNINLNONPNRNUNZOMPAPEPFPGPHPKPLPMPNPRPSPTPWPYQARE"
    "RORSRURWSASBSCSDSESGSHSISJSKSLSMSNSOSRSSSTSVSXSYSZTCTDTFTGTHTJTKTLTMTNTOTRTTTVTWTZUAUGUMUSUYUZ"
    "VAVCVEVGVIVNVUWFWSYEYTZAZMZW";
static const char currencies[] =
    "AEDAFNALLAMDANGAOAARSAUDAWGAZNBAMBBDBDTBGNBHDBIFBMDBNDBOBBRLBSDBTNBWPBYNBZDCADCDFCHFCLPCNYCOP"
    "CRCCUPCVECZKDJFDKKDOPDZDEGPERNETBEURFJDFKPGBPGELGHSGIPGMDGNFGTQGYDHKDHNLHTGHUFIDRILSINRIQDIRR"
    "ISKJMDJODJPYKESKGSKHRKMFKPWKRWKWDKYDKZTLAKLBPLKRLRDLSLLYDMADMDLMGAMKDMMKMNTMOPMRUMURMVRMWKMXN"
    "MYRMZNNADNGNNIONOKNPRNZDOMRPABPENPGKPHPPKRPLNPYGQARRONRSDRUBRWFSARSBDSCRSDGSEKSGDSHPSLESOSSRD"
    "SSPSTNSVCSYPSZLTHBTJSTMTTNDTOPTRYTTDTWDTZSUAHUGXUSDUYUUZSVEDVESVNDVUVWSTXAFXCDXOFXPFYERZARZMW"
    "ZWG";

static bool code_in(const char *list, size_t width, const char *s)
{
    if (strlen(s) != width)
        return false;
    for (; *list; list += width)
        if (!memcmp(list, s, width))
            return true;
    return false;
}

/* Area/City[/Place], UTC, or a POSIX-like Etc name; the zone database itself is the client's. */
static bool lines_ok(const char *s, const char *allowed)
{
    for (; *s; s++)
        if (((unsigned char)*s < 0x20 && !strchr(allowed, *s)) || *s == 0x7f)
            return false;
    return true;
}

/* What a file is called, wherever it is kept: one step of a path (POSIX.1 §4.7, also as Windows
 * splits it) that is not the folder itself or the one above. */
static bool filename_ok(const char *s)
{
    return lines_ok(s, "") && !strpbrk(s, "/\\") && !str_eq(s, ".") && !str_eq(s, "..");
}

static bool phone_ok(const char *s)
{
    size_t digits = 0;
    if (*s == '+')
        s++;
    for (const char *p = s; *p; p++) {
        if (isdigit((unsigned char)*p))
            digits++;
        else if (!strchr(" -()/.", *p))
            return false;
    }
    return digits >= 3 && digits <= 15;
}

static bool mime_ok(const char *s)
{
    const char *slash = strchr(s, '/');
    if (!slash || slash == s || !slash[1] || strchr(slash + 1, '/'))
        return false;
    return all(s, isalnum, "/!#$&-^_.+");
}

bool shape_format_ok(enum text_format f, const char *s, const char **ret_why)
{
    static const char *const why[] = {
        [FMT_NONE] = "text",
        [FMT_EMAIL] = "an e-mail address such as name@example.com",
        [FMT_URL] = "an absolute http or https URL without credentials",
        [FMT_SLUG] = "lower-case letters, digits and single hyphens, not digits only",
        [FMT_USERNAME] = "letters, digits, dot, hyphen and underscore, beginning with a letter",
        [FMT_LANGUAGE] = "a BCP 47 language tag such as de or de-CH",
        [FMT_COUNTRY] = "an ISO 3166-1 alpha-2 code such as DE",
        [FMT_CURRENCY] = "an ISO 4217 code such as EUR",
        [FMT_TIMEZONE] = "an IANA time zone such as Europe/Berlin",
        [FMT_PHONE] = "a phone number such as +49 30 1234567",
        [FMT_MIME] = "a media type such as image/png",
        [FMT_SHA256] = "64 lower-case hexadecimal digits",
        [FMT_FILENAME] = "the name of a file, without folders",
        [FMT_LINE] = "one line of text",
        [FMT_LONG] = "text without control characters",
    };
    if (ret_why)
        *ret_why = why[f];
    switch (f) {
    case FMT_NONE:
    case FMT_LIST: /* of no text */
        return true;
    case FMT_EMAIL:
        return email_ok(s);
    case FMT_URL:
        return url_ok(s);
    case FMT_SLUG:
        return slug_ok(s);
    case FMT_USERNAME:
        return isalpha((unsigned char)s[0]) && all(s, isalnum, "._-");
    case FMT_LANGUAGE:
        return language_ok(s);
    case FMT_COUNTRY:
        return code_in(countries, 2, s);
    case FMT_CURRENCY:
        return code_in(currencies, 3, s);
    case FMT_TIMEZONE:
        return shape_zone_ok(s);
    case FMT_PHONE:
        return phone_ok(s);
    case FMT_MIME:
        return mime_ok(s);
    case FMT_SHA256:
        return strlen(s) == 64 && strspn(s, "0123456789abcdef") == 64;
    case FMT_FILENAME:
        return filename_ok(s);
    case FMT_LINE:
        return lines_ok(s, "");
    case FMT_LONG:
        return lines_ok(s, "\t\r\n");
    }
    return false;
}
