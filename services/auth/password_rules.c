/* Which passwords will do (NIST SP 800-63B §5.1.1.2). */
#include "common/base/str.h"
#include "services/auth/login.h"
#include "services/auth/password.h"

#include <ctype.h>

enum { own_name_min = 4, period_max = 6 };

/* What guessers try first, without the digits and signs that people put at the end. */
static const char *const common[] = {
    "password",
    "passwort",
    "passw0rd",
    "p@ssw0rd",
    "p@ssword",
    "motdepasse",
    "contrasena",
    "wachtwoord",
    "qwerty",
    "qwertyuiop",
    "qwertyuiopasdf",
    "qwertzuiop",
    "azertyuiop",
    "asdfghjkl",
    "zxcvbnm",
    "qazwsx",
    "qazwsxedc",
    "qazwsxedcrfv",
    "1q2w3e4r",
    "1q2w3e4r5t",
    "1q2w3e4r5t6y",
    "q1w2e3r4",
    "q1w2e3r4t5y6",
    "1qaz2wsx",
    "1qaz2wsx3edc",
    "zaq12wsx",
    "letmein",
    "letmeinplease",
    "iloveyou",
    "iloveyouforever",
    "ichliebedich",
    "jetaime",
    "teamo",
    "welcome",
    "welcomehome",
    "willkommen",
    "bienvenue",
    "bienvenido",
    "admin",
    "administrator",
    "administration",
    "changeme",
    "changemenow",
    "changeit",
    "default",
    "defaultpassword",
    "secret",
    "topsecret",
    "supersecret",
    "geheim",
    "trustno",
    "dragon",
    "monkey",
    "football",
    "baseball",
    "basketball",
    "superman",
    "batman",
    "spiderman",
    "starwars",
    "pokemon",
    "princess",
    "sunshine",
    "shadow",
    "master",
    "michael",
    "jennifer",
    "charlie",
    "jordan",
    "hunter",
    "ashley",
    "computer",
    "internet",
    "whatever",
    "samsung",
    "google",
    "facebook",
    "correcthorsebatterystaple",
    "thisismypassword",
    "mypassword",
    "mypasswordis",
    "yourpassword",
    "newpassword",
    "oldpassword",
    "testpassword",
    "adminpassword",
    "passwordpassword",
    "passwordadmin",
    "adminadmin",
    "rootroot",
    "root",
    "toor",
    "guest",
    "testtest",
    "testtesttest",
    "test",
    "user",
    "useruser",
    "login",
    "loginlogin",
    "wordpress",
    "drupal",
    "joomla",
    "typo",
    "cms",
    "365cms",
    "cms365",
    "passwordcms",
    "nothing",
    "liverpool",
    "manchester",
    "bayernmuenchen",
    "borussia",
    "fcbayern",
    "schalke",
    "hallo",
    "hallohallo",
    "hellohello",
    "helloworld",
    "abcdefghijkl",
    "abcdefghijklmnop",
    "abcabcabc",
    "summer",
    "winter",
    "spring",
    "autumn",
    "sommer",
    "fruehling",
    "herbst",
};

static char *lower_of(struct arena *a, const char *s)
{
    char *out = arena_strdup(a, s);
    for (char *p = out; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    return out;
}

/* "Password2026!" -> "password" */
static void strip(char **s)
{
    size_t n = strlen(*s);
    while (n && !isalpha((unsigned char)(*s)[n - 1]) && (unsigned char)(*s)[n - 1] < 0x80)
        n--;
    (*s)[n] = '\0';
}

/* "aaaaaaaaaaaa", "123123123123" */
static bool repeats(const char *s)
{
    size_t n = strlen(s);
    for (size_t period = 1; period <= period_max && period * 2 <= n; period++)
        if (!memcmp(s, s + period, n - period))
            return true;
    return false;
}

/* "123456789012", "zyxwvutsrqponm": up or down by one, 9 to 0 too. */
static bool runs(const char *s)
{
    for (int step = -1; step <= 1; step += 2) {
        size_t i = 1;
        for (; s[i]; i++) {
            bool turn = (step == 1 && s[i - 1] == '9' && s[i] == '0') ||
                        (step == -1 && s[i - 1] == '0' && s[i] == '9');
            if (s[i] - s[i - 1] != step && !turn)
                break;
        }
        if (!s[i])
            return true;
    }
    return false;
}

static bool known(struct arena *a, const char *lower)
{
    char *stem = arena_strdup(a, lower);
    strip(&stem);
    for (size_t i = 0; i < ARRAY_LEN(common); i++)
        if (!strcmp(common[i], lower) || (*stem && !strcmp(common[i], stem)))
            return true;
    return false;
}

/* "erika2026!" is erika's name: nothing but digits and signs after it. */
static bool made_of(const char *lower, const char *name)
{
    size_t n = strlen(name);
    if (n < own_name_min || strncmp(lower, name, n) != 0)
        return false;
    for (const char *p = lower + n; *p; p++)
        if (isalpha((unsigned char)*p) || (unsigned char)*p >= 0x80)
            return false;
    return true;
}

/* Their name or address, or the part of it before the @. */
static bool is_name(struct arena *a, const char *lower, const char *name)
{
    char *own = lower_of(a, name);
    if (made_of(lower, own))
        return true;
    own[strcspn(own, "@")] = '\0';
    return made_of(lower, own);
}

const char *password_fault(const char *password, int64_t min, const char *const *names)
{
    static _Thread_local char too_short[64];
    size_t n = strlen(password);
    if (n > login_password_max)
        return "It is longer than 1024 bytes.";
    if (!str_utf8_ok(password, n))
        return "It is not valid UTF-8.";
    if ((int64_t)str_utf8_len(password, n) < min) {
        snprintf(too_short, sizeof(too_short), "It needs at least %lld characters.",
                 (long long)min);
        return too_short;
    }
    struct arena *a = arena_new();
    const char *lower = lower_of(a, password);
    bool weak = known(a, lower) || repeats(lower) || runs(lower);
    bool own = false;
    for (size_t i = 0; names[i] && !own; i++)
        own = is_name(a, lower, names[i]);
    arena_free(a);
    if (own)
        return "It must not be your own name or address.";
    return weak ? "It is one of those that are guessed first." : NULL;
}
