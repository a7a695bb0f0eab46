/* Accept and Accept-Encoding as tables (RFC 9110 §12.5.1, §12.5.3). */
#include "common/kit/route_internal.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const char *const types[] = { "application/json", "application/ld+json", "application/xml",
                                     "text/xml", "text/csv" };
enum { JSON, LD, XML, TEXT_XML, CSV, NONE };

/* proves: R-13 */
static void the_preferred_type_is_chosen(void **state)
{
    static const struct {
        const char *accept;
        size_t want;
        const char *why;
    } cases[] = {
        { NULL,                                                                     JSON,     "absent: anything"                },
        { "",                                                                       JSON,     "empty: anything"                 },
        { " , ,",                                                                   JSON,     "a list of nothing"               },
        { "*/*",                                                                    JSON,     "the first of equals"             },
        { "application/*",                                                          JSON,     "the first of a kind"             },
        { "text/*",                                                                 TEXT_XML, "the first of a kind"             },
        { "application/xml",                                                        XML,      "named"                           },
        { "text/xml",                                                               TEXT_XML, "named"                           },
        { "TEXT/CSV",                                                               CSV,      "case does not matter"            },
        { "text/html",                                                              NONE,     "not there"                       },
        { "text/html, */*;q=0.1",                                                   JSON,     "the rest at last"                },
        { "application/xml;q=0.5, application/json;q=0.4",                          XML,      "by weight"                       },
        { "application/xml;q=0.4, application/json;q=0.5",                          JSON,     "by weight"                       },
        { "application/xml, application/json",                                      JSON,     "equal weights: ours comes first" },
        { "*/*, application/json;q=0",                                              LD,       "one excluded"                    },
        { "*/*;q=1, application/*;q=0",                                             TEXT_XML, "a kind excluded"                 },
        { "application/*;q=0.2, application/xml;q=0.9, */*;q=0.5",                  XML,
         "the closest range counts"                                                                                             },
        { "application/*;q=1, application/json;q=0.1",                              LD,       "the closest range counts"        },
        { "application/json;q=0, application/json",                                 JSON,     "said twice: the kinder"          },
        { "application/json;q=0",                                                   NONE,     "excluded"                        },
        { "application/json; q=0.000",                                              NONE,     "excluded"                        },
        { "application/json;q=0.001",                                               JSON,     "just wanted"                     },
        { "application/xml ; q=0.9 , text/csv;q=0.95",                              CSV,      "blanks"                          },
        { "application/json;q=1.001",                                               NONE,     "no weight: not a range"          },
        { "application/json;q=.5",                                                  NONE,     "no weight"                       },
        { "application/json;q=",                                                    NONE,     "no weight"                       },
        { "application/json;q=-1",                                                  NONE,     "no weight"                       },
        { "application/json;q=1e0",                                                 NONE,     "no weight"                       },
        { "application/json;q=0.1234",                                              NONE,     "four digits"                     },
        { "application/json;Q=0.5",                                                 JSON,     "names have no case"              },
        { "application/json;version=2",                                             JSON,     "this version"                    },
        { "application/json;version=\"2\"",                                         JSON,     "quoted"                          },
        { "application/json;version=1",                                             NONE,     "another version"                 },
        { "application/json;version=x",                                             NONE,     "no version"                      },
        { "application/json;version=99999999999999999999",                          NONE,     "no version"                      },
        { "application/json;version=1, application/xml;q=0.1",                      XML,      "the other instead"               },
        { "application/xml;version=2, application/xml;q=0, application/json;q=0.5", XML,
         "a parameter makes it closer"                                                                                          },
        { "*/*;version=3",                                                          NONE,     "another version of anything"     },
        { "application/json;charset=UTF-8",                                         JSON,     "what it is"                      },
        { "application/json;charset=iso-8859-1",                                    NONE,     "what it is not"                  },
        { "application/ld+json;profile=\"http://www.w3.org/ns/json-ld#compacted\"", LD,       "unknown"                         },
        { "application/xml;x=\"a,b;q=0\";q=0.7, application/json;q=0.6",            XML,      "quoted separators"               },
        { "application/xml;x=\"a\\\",\", application/json;q=0.6",                   XML,      "quoted quote"                    },
        { "application/xml;x=\"unclosed, application/json",                         XML,      "an open quote takes the rest"    },
        { "application",                                                            NONE,     "no range"                        },
        { "*",                                                                      NONE,     "no range"                        },
        { "*/json",                                                                 NONE,     "no range"                        },
        { "application/json/xml",                                                   NONE,     "no range"                        },
        { "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",        XML,      "a browser"                       },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        size_t got = accept_best(cases[i].accept, types, ARRAY_LEN(types), 2);
        if (got != cases[i].want)
            fail_msg("%s (%s): %zu, not %zu", cases[i].accept, cases[i].why, got, cases[i].want);
    }
}

/* proves: R-24 */
static void the_preferred_coding_is_chosen(void **state)
{
    static const struct {
        const char *accept;
        enum coding want;
        bool plain;
    } cases[] = {
        { NULL,                         CODING_IDENTITY, true  },
        { "",                           CODING_IDENTITY, true  },
        { "gzip",                       CODING_GZIP,     true  },
        { "x-gzip",                     CODING_GZIP,     true  },
        { "GZIP",                       CODING_GZIP,     true  },
        { "zstd",                       CODING_ZSTD,     true  },
        { "gzip, deflate, br, zstd",    CODING_ZSTD,     true  },
        { "gzip, deflate, br",          CODING_GZIP,     true  },
        { "br",                         CODING_IDENTITY, true  },
        { "*",                          CODING_ZSTD,     true  },
        { "*;q=0.5, gzip",              CODING_GZIP,     true  },
        { "zstd;q=0, *",                CODING_GZIP,     true  },
        { "gzip;q=0.001",               CODING_GZIP,     true  },
        { "gzip;q=0",                   CODING_IDENTITY, true  },
        { "gzip;q=0.5, identity",       CODING_IDENTITY, true  },
        { "gzip;q=0.5, identity;q=0.1", CODING_GZIP,     true  },
        { "zstd;q=0.5, gzip;q=0.7",     CODING_GZIP,     true  },
        { "gzip, identity;q=0",         CODING_GZIP,     false },
        { "identity;q=0",               CODING_IDENTITY, false },
        { "*;q=0",                      CODING_IDENTITY, false },
        { "*;q=0, identity",            CODING_IDENTITY, true  },
        { "gzip, *;q=0",                CODING_GZIP,     false },
        { "br, identity;q=0",           CODING_IDENTITY, false },
        { "gzip;q=nonsense",            CODING_IDENTITY, true  },
        { "gzip;q=2",                   CODING_IDENTITY, true  },
        { "gzipped",                    CODING_IDENTITY, true  },
        { "gzi",                        CODING_IDENTITY, true  },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        bool plain;
        enum coding got = accept_coding(cases[i].accept, &plain);
        if (got != cases[i].want || plain != cases[i].plain)
            fail_msg("%s: %s, plain %d", cases[i].accept, coding_name(got), plain);
    }
}

/* 32 KB of ranges, as much as a header may have. */
static void long_headers_end(void **state)
{
    static char text[header_bytes_max];
    bool plain;
    (void)state;
    static const char *const units[] = { "*/*;q=0,", ",",    ";",
                                         "a/b;q=\"", "\"\\", "application/json;q=0.1;;;," };
    for (size_t u = 0; u < ARRAY_LEN(units); u++) {
        size_t n = strlen(units[u]);
        for (size_t i = 0; i + 1 < sizeof(text); i++)
            text[i] = units[u][i % n];
        assert_true(accept_best(text, types, ARRAY_LEN(types), 2) <= ARRAY_LEN(types));
        (void)accept_coding(text, &plain);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_preferred_type_is_chosen),
        cmocka_unit_test(the_preferred_coding_is_chosen),
        cmocka_unit_test(long_headers_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
