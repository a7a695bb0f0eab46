#include "common/base/clock.h"

#include <stdatomic.h>

enum { day_s = 86400 };

static _Atomic int64_t fake_ms;

static int64_t read_us(clockid_t id)
{
    struct timespec ts;

    if (clock_gettime(id, &ts) != 0)
        abort();
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t clock_us(void)
{
    int64_t fake = atomic_load_explicit(&fake_ms, memory_order_relaxed);

    return fake ? fake * 1000 : read_us(CLOCK_REALTIME);
}

int64_t clock_ms(void)
{
    return clock_us() / 1000;
}

int64_t clock_mono_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}

int64_t clock_cpu_us(void)
{
    return read_us(CLOCK_THREAD_CPUTIME_ID);
}

void clock_set_ms(int64_t unix_ms)
{
    atomic_store(&fake_ms, unix_ms);
}

/* ---- calendar: days since 1970-01-01 in the proleptic Gregorian calendar ---- */

struct date {
    int64_t year;
    int64_t month, day; /* from 1 */
};

/* Both conversions count years from March, so that the leap day is the last one. */
static int64_t days_of(struct date d)
{
    int64_t y = d.year - (d.month <= 2), era = (y >= 0 ? y : y - 399) / 400, yoe = y - era * 400;
    int64_t doy = (153 * (d.month + (d.month > 2 ? -3 : 9)) + 2) / 5 + d.day - 1;

    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static struct date date_of(int64_t days)
{
    int64_t z = days + 719468, era = (z >= 0 ? z : z - 146096) / 146097, doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    int64_t month = mp < 10 ? mp + 3 : mp - 9;

    return (struct date){ .year = yoe + era * 400 + (month <= 2),
                          .month = month,
                          .day = doy - (153 * mp + 2) / 5 + 1 };
}

static int64_t days_in_month(int64_t year, int64_t month)
{
    static const unsigned char days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return days[month - 1] + (month == 2 && leap);
}

static bool date_ok(struct date d)
{
    return d.year >= 1 && d.year <= 9999 && d.month >= 1 && d.month <= 12 && d.day >= 1 &&
           d.day <= days_in_month(d.year, d.month);
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* 0001-01-01 to 9999-12-31, what four digits of year can say. */
static int64_t clamp_s(int64_t s)
{
    const int64_t least = -62135596800, most = 253402300799;

    return s < least ? least : s > most ? most : s;
}

/* Digits by hand: these run for each timestamp of each answer. */
static char *put_digits(char *p, int64_t v, int n)
{
    for (int i = n - 1; i >= 0; i--, v /= 10)
        p[i] = (char)('0' + v % 10);
    return p + n;
}

static char *put_hms(char *p, int64_t s)
{
    p = put_digits(p, s / 3600, 2);
    *p++ = ':';
    p = put_digits(p, s / 60 % 60, 2);
    *p++ = ':';
    return put_digits(p, s % 60, 2);
}

void rfc3339_format(int64_t unix_us, char out[rfc3339_len + 1])
{
    int64_t s = clamp_s(floor_div(unix_us, 1000000)), days = floor_div(s, day_s);
    struct date d = date_of(days);
    char *p = put_digits(out, d.year, 4);

    *p++ = '-';
    p = put_digits(p, d.month, 2);
    *p++ = '-';
    p = put_digits(p, d.day, 2);
    *p++ = 'T';
    p = put_hms(p, s - days * day_s);
    *p++ = '.';
    p = put_digits(p, unix_us - floor_div(unix_us, 1000000) * 1000000, 6);
    *p++ = 'Z';
    *p = '\0';
}

/* ---- parsing: each step takes its text off *s, or answers false ---- */

static bool take_digits(const char **s, int n, int64_t *ret)
{
    int64_t v = 0;

    for (int i = 0; i < n; i++) {
        if ((*s)[i] < '0' || (*s)[i] > '9')
            return false;
        v = v * 10 + ((*s)[i] - '0');
    }
    *s += n;
    *ret = v;
    return true;
}

static bool take(const char **s, const char *text)
{
    size_t n = strlen(text);

    if (strncmp(*s, text, n) != 0)
        return false;
    *s += n;
    return true;
}

/* hh:mm:ss as seconds of the day.  Second 60 is refused: PostgreSQL would move it a minute on. */
static bool take_hms(const char **s, int64_t *ret)
{
    int64_t h, m, sec;

    if (!take_digits(s, 2, &h) || !take(s, ":") || !take_digits(s, 2, &m) || !take(s, ":") ||
        !take_digits(s, 2, &sec) || h > 23 || m > 59 || sec > 59)
        return false;
    *ret = h * 3600 + m * 60 + sec;
    return true;
}

static bool take_fraction(const char **s, int64_t *ret_us)
{
    int64_t us = 0;
    int n = 0;

    if (**s != '.') {
        *ret_us = 0;
        return true;
    }
    for ((*s)++; **s >= '0' && **s <= '9'; (*s)++, n++)
        if (n < 6)
            us = us * 10 + (**s - '0');
    if (n < 1 || n > 9)
        return false;
    for (; n < 6; n++)
        us *= 10;
    *ret_us = us;
    return true;
}

static bool take_offset(const char **s, int64_t *ret_s)
{
    int64_t h, m;
    int sign = **s == '-' ? -1 : 1;

    if (**s == 'Z' || **s == 'z') {
        (*s)++;
        *ret_s = 0;
        return true;
    }
    if (**s != '+' && **s != '-')
        return false;
    (*s)++;
    if (!take_digits(s, 2, &h) || !take(s, ":") || !take_digits(s, 2, &m) || h > 23 || m > 59)
        return false;
    *ret_s = sign * (h * 3600 + m * 60);
    return true;
}

bool rfc3339_parse(const char *s, int64_t *ret_unix_us)
{
    struct date d;
    int64_t hms, us, offset, unix_s;

    if (!take_digits(&s, 4, &d.year) || !take(&s, "-") || !take_digits(&s, 2, &d.month) ||
        !take(&s, "-") || !take_digits(&s, 2, &d.day) || !date_ok(d))
        return false;
    if (!take(&s, "T") && !take(&s, "t"))
        return false;
    if (!take_hms(&s, &hms) || !take_fraction(&s, &us) || !take_offset(&s, &offset) || *s)
        return false;
    unix_s = days_of(d) * day_s + hms - offset;
    if (unix_s != clamp_s(unix_s))
        return false;
    *ret_unix_us = unix_s * 1000000 + us;
    return true;
}

static const char days_short[7][4] = { "Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed" };
static const char *const days_long[7] = { "Thursday", "Friday",  "Saturday", "Sunday",
                                          "Monday",   "Tuesday", "Wednesday" };
static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                    "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };

void http_date_format(int64_t unix_s, char out[http_date_len + 1])
{
    int64_t s = clamp_s(unix_s), days = floor_div(s, day_s);
    struct date d = date_of(days);
    char *p = out;

    memcpy(p, days_short[(days % 7 + 7) % 7], 3);
    memcpy(p + 3, ", ", 2);
    p = put_digits(p + 5, d.day, 2);
    *p++ = ' ';
    memcpy(p, months[d.month - 1], 3);
    p[3] = ' ';
    p = put_digits(p + 4, d.year, 4);
    *p++ = ' ';
    p = put_hms(p, s - days * day_s);
    memcpy(p, " GMT", 5);
}

static bool take_month(const char **s, int64_t *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(months); i++) {
        if (take(s, months[i])) {
            *ret = (int64_t)i + 1;
            return true;
        }
    }
    return false;
}

/* Index of the day's name (0 is Thursday, as day 0 is), -1: none. */
static int take_day_name(const char **s, bool is_long)
{
    for (int i = 0; i < 7; i++)
        if (take(s, is_long ? days_long[i] : days_short[i]))
            return i;
    return -1;
}

/* RFC 850 has two digits of year: one that seems more than 50 years ahead is in the past. */
static int64_t full_year(int64_t yy)
{
    int64_t now = date_of(floor_div(clock_ms() / 1000, day_s)).year;
    int64_t year = now - now % 100 + yy;

    return year > now + 50 ? year - 100 : year;
}

static bool take_imf(const char **s, int *name, struct date *d, int64_t *hms)
{
    *name = take_day_name(s, false);
    return *name >= 0 && take(s, ", ") && take_digits(s, 2, &d->day) && take(s, " ") &&
           take_month(s, &d->month) && take(s, " ") && take_digits(s, 4, &d->year) &&
           take(s, " ") && take_hms(s, hms) && take(s, " GMT");
}

static bool take_rfc850(const char **s, int *name, struct date *d, int64_t *hms)
{
    *name = take_day_name(s, true);
    if (*name < 0 || !take(s, ", ") || !take_digits(s, 2, &d->day) || !take(s, "-") ||
        !take_month(s, &d->month) || !take(s, "-") || !take_digits(s, 2, &d->year))
        return false;
    d->year = full_year(d->year);
    return take(s, " ") && take_hms(s, hms) && take(s, " GMT");
}

static bool take_asctime(const char **s, int *name, struct date *d, int64_t *hms)
{
    *name = take_day_name(s, false);
    if (*name < 0 || !take(s, " ") || !take_month(s, &d->month) || !take(s, " "))
        return false;
    if (take(s, " ") ? !take_digits(s, 1, &d->day) : !take_digits(s, 2, &d->day))
        return false;
    return take(s, " ") && take_hms(s, hms) && take(s, " ") && take_digits(s, 4, &d->year);
}

bool http_date_parse(const char *s, int64_t *ret_unix_s)
{
    static bool (*const forms[])(const char **, int *, struct date *,
                                 int64_t *) = { take_imf, take_rfc850, take_asctime };

    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        const char *at = s;
        struct date d = { 0 };
        int64_t hms = 0, days;
        int name = 0;

        if (!forms[i](&at, &name, &d, &hms) || *at || !date_ok(d))
            continue;
        days = days_of(d);
        if ((days % 7 + 7) % 7 != name)
            return false;
        *ret_unix_s = days * day_s + hms;
        return true;
    }
    return false;
}
