#include "proto/emit.h"

#include "common/base/str.h"

/*
 * The schema of application/xml answers.  Everything is optional there (fields= narrows, visibility
 * hides) and in any order (include= adds at the end): xs:all with minOccurs 0.  Names stand in no
 * namespace, so that a path is //post/title whatever the installation.
 */

static void put_text(FILE *out, const char *s)
{
    for (; *s; s++) {
        if (*s == '&')
            fputs("&amp;", out);
        else if (*s == '<')
            fputs("&lt;", out);
        else if (*s == '>')
            fputs("&gt;", out);
        else
            fputc(*s, out);
    }
}

static void put_doc(FILE *out, const char *indent, const char *doc)
{
    fprintf(out, "%s<xs:annotation><xs:documentation>", indent);
    put_text(out, doc);
    fputs("</xs:documentation></xs:annotation>\n", out);
}

/* Types that need no own definition; NULL: printed inline. */
static const char *type_of(const struct field_def *f)
{
    switch (f->type) {
    case F_ID:
        return "id";
    case F_UUID:
        return "uuid";
    case F_TEXT:
        return "text";
    case F_BOOL:
        return "xs:boolean";
    case F_TIME:
        return "xs:dateTime";
    case F_JSON:
        return "json";
    case F_TEXTS:
        return "texts";
    case F_REF:
        return f->ref;
    case F_INT:
    case F_ENUM:
    case F_REFS:
        return NULL;
    }
    return NULL;
}

static void put_int(FILE *out, const struct field_def *f)
{
    fputs("        <xs:simpleType><xs:restriction base=\"xs:long\">", out);
    if (f->min || f->max)
        fprintf(out, "<xs:minInclusive value=\"%lld\"/>", (long long)f->min);
    if (f->max && f->max < INT64_MAX)
        fprintf(out, "<xs:maxInclusive value=\"%lld\"/>", (long long)f->max);
    fputs("</xs:restriction></xs:simpleType>\n", out);
}

static void put_enum(FILE *out, const struct field_def *f)
{
    fputs("        <xs:simpleType><xs:restriction base=\"xs:string\">", out);
    for (const char *const *c = f->choices; *c; c++)
        fprintf(out, "<xs:enumeration value=\"%s\"/>", *c);
    fputs("</xs:restriction></xs:simpleType>\n", out);
}

static void put_rows(FILE *out, const char *ref)
{
    fprintf(out,
            "        <xs:complexType><xs:sequence><xs:element name=\"%s\" type=\"%s\" "
            "nillable=\"true\" minOccurs=\"0\" maxOccurs=\"unbounded\"/></xs:sequence>"
            "</xs:complexType>\n",
            ref, ref);
}

static void put_field(FILE *out, const struct field_def *f)
{
    const char *type = type_of(f);
    bool null = !(f->flags & (FF_REQUIRED | FF_NONNULL));
    fprintf(out, "      <xs:element name=\"%s\"", f->name);
    if (type)
        fprintf(out, " type=\"%s\"", type);
    fprintf(out, " minOccurs=\"0\"%s>\n", null ? " nillable=\"true\"" : "");
    put_doc(out, "        ", f->doc);
    if (f->type == F_INT)
        put_int(out, f);
    else if (f->type == F_ENUM)
        put_enum(out, f);
    else if (f->type == F_REFS)
        put_rows(out, entity_find(f->ref)->name);
    fputs("      </xs:element>\n", out);
}

static void put_entity(FILE *out, const struct entity_def *e)
{
    fprintf(out, "  <xs:complexType name=\"%s\">\n", e->name);
    put_doc(out, "    ", e->doc);
    fputs("    <xs:all>\n", out);
    for (const struct field_def *f = e->fields; f->name; f++) {
        if (!(f->flags & (FF_HIDDEN | FF_SECRET)))
            put_field(out, f);
    }
    for (const struct relation_def *r = e->relations; r && r->name; r++) {
        if (entity_field(e, r->name))
            continue;
        fprintf(out, "      <xs:element name=\"%s\" minOccurs=\"0\">\n", r->name);
        put_doc(out, "        ", r->doc);
        put_rows(out, entity_find(r->ref)->name);
        fputs("      </xs:element>\n", out);
    }
    fputs("    </xs:all>\n  </xs:complexType>\n", out);
    fprintf(out, "  <xs:element name=\"%s\" type=\"%s\"/>\n", e->name, e->name);
}

/* Any of the entities, one or as many as there are. */
static void put_choice(FILE *out, const char *group, bool many)
{
    fprintf(out, "  <xs:complexType name=\"%s\">\n    <xs:choice%s>\n", group,
            many ? " minOccurs=\"0\" maxOccurs=\"unbounded\"" : "");
    for (const struct entity_def *const *e = entities; *e; e++)
        fprintf(out, "      <xs:element ref=\"%s\"/>\n", (*e)->name);
    fputs("    </xs:choice>\n  </xs:complexType>\n", out);
}

struct flat { /* a member of meta or links */
    const char *name, *type;
};

static void put_flat(FILE *out, const char *name, const struct flat *members)
{
    fprintf(out, "  <xs:complexType name=\"%s\">\n    <xs:all>\n", name);
    for (; members->name; members++)
        fprintf(out,
                "      <xs:element name=\"%s\" type=\"%s\" nillable=\"true\" minOccurs=\"0\"/>\n",
                members->name, members->type);
    fputs("    </xs:all>\n  </xs:complexType>\n", out);
}

static const char head[] =
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
    "<xs:schema xmlns:xs=\"http://www.w3.org/2001/XMLSchema\" elementFormDefault=\"qualified\">\n"
    "  <xs:simpleType name=\"id\"><xs:restriction base=\"xs:long\">"
    "<xs:minInclusive value=\"1\"/></xs:restriction></xs:simpleType>\n"
    "  <xs:simpleType name=\"uuid\"><xs:restriction base=\"xs:string\">"
    "<xs:pattern value=\"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\"/>"
    "</xs:restriction></xs:simpleType>\n"
    "  <xs:complexType name=\"text\">\n"
    "    <xs:annotation><xs:documentation>Text.  If it has characters that XML has not, it is "
    "written as the inside of a JSON string (\\u0001) and marked escaped=\"true\"."
    "</xs:documentation></xs:annotation>\n"
    "    <xs:simpleContent><xs:extension base=\"xs:string\">"
    "<xs:attribute name=\"escaped\" type=\"xs:boolean\" default=\"false\"/>"
    "</xs:extension></xs:simpleContent>\n"
    "  </xs:complexType>\n"
    "  <xs:complexType name=\"texts\"><xs:sequence><xs:element name=\"item\" type=\"text\" "
    "nillable=\"true\" minOccurs=\"0\" maxOccurs=\"unbounded\"/></xs:sequence></xs:complexType>\n"
    "  <xs:complexType name=\"json\">\n"
    "    <xs:annotation><xs:documentation>Free JSON as json-to-xml() of XPath 3.1 has it."
    "</xs:documentation></xs:annotation>\n"
    "    <xs:sequence><xs:any namespace=\"http://www.w3.org/2005/xpath-functions\" "
    "processContents=\"lax\"/></xs:sequence>\n"
    "  </xs:complexType>\n";

static const char roots[] = "  <xs:element name=\"response\"><xs:complexType><xs:sequence>"
                            "<xs:element name=\"data\" type=\"one\"/>"
                            "<xs:element name=\"meta\" type=\"meta\" minOccurs=\"0\"/>"
                            "<xs:element name=\"links\" type=\"links\" minOccurs=\"0\"/>"
                            "</xs:sequence></xs:complexType></xs:element>\n"
                            "  <xs:element name=\"list\"><xs:complexType><xs:sequence>"
                            "<xs:element name=\"data\" type=\"many\"/>"
                            "<xs:element name=\"meta\" type=\"meta\" minOccurs=\"0\"/>"
                            "<xs:element name=\"links\" type=\"links\" minOccurs=\"0\"/>"
                            "</xs:sequence></xs:complexType></xs:element>\n"
                            "  <xs:element name=\"items\" type=\"many\"/>\n"
                            "</xs:schema>\n";

void emit_xsd(FILE *out)
{
    static const struct flat meta[] = {
        { "total",       "xs:long"    },
        { "estimated",   "xs:boolean" },
        { "page",        "xs:long"    },
        { "per_page",    "xs:long"    },
        { "limit",       "xs:long"    },
        { "offset",      "xs:long"    },
        { "next_cursor", "text"       },
        { "prev_cursor", "text"       },
        { NULL,          NULL         },
    };
    static const struct flat links[] = {
        { "self",  "xs:anyURI" },
        { "first", "xs:anyURI" },
        { "prev",  "xs:anyURI" },
        { "next",  "xs:anyURI" },
        { "last",  "xs:anyURI" },
        { NULL,    NULL        },
    };
    fputs(head, out);
    for (const struct entity_def *const *e = entities; *e; e++)
        put_entity(out, *e);
    put_choice(out, "one", false);
    put_choice(out, "many", true);
    put_flat(out, "meta", meta);
    put_flat(out, "links", links);
    fputs(roots, out);
}
