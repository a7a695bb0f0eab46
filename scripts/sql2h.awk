# Turns SQL files into a C header of strings.
#   awk -v kind=stmt -f sql2h.awk a.sql b.sql   -- name: x [fast|write]  blocks -> static const struct db_stmt sql_x
#   awk -v kind=migration -f sql2h.awk migrations/*.sql                -> static const struct migration migrations[]
function quote(s) { gsub(/\\/, "\\\\", s); gsub(/"/, "\\\"", s); return "    \"" s "\\n\"" }
function finish() {
    if (name == "") return
    flags = ""
    if (mode ~ /fast/) flags = "DB_FAST"
    if (mode ~ /write/) flags = "DB_WRITE"
    printf "static const struct db_stmt sql_%s __attribute__((unused)) = { .name = \"%s\", .flags = %s, .sql =\n%s };\n", name, name, flags == "" ? "0" : flags, body
    all = all "&sql_" name ", "
    name = ""
}
BEGIN {
    guard = kind == "stmt" ? "SQL_H" : "MIGRATIONS_H"
    print "/* Made by scripts/sql2h.awk; do not edit. */"
    print "#ifndef " guard "\n#define " guard
    print kind == "stmt" ? "#include \"common/io/db.h\"" : "#include \"common/kit/migrate.h\""
}
kind == "stmt" && /^-- name: / { finish(); name = $3; mode = $4; body = ""; next }
kind == "stmt" { if (name != "" && $0 !~ /^[ \t]*(--.*)?$/) body = body (body == "" ? "" : "\n") quote($0) }
kind == "migration" && FNR == 1 {
    n = split(FILENAME, part, "/"); file = part[n]; sub(/\.sql$/, "", file)
    if (count++) print "    },"
    else print "static const struct migration migrations[] __attribute__((unused)) = {"
    version = file; sub(/_.*/, "", version); sub(/^0+/, "", version)
    printf "    { .version = %s, .name = \"%s\", .sql =\n", version, file
}
kind == "migration" { print quote($0) }
END {
    if (kind == "stmt") {
        finish()
        print "static const struct db_stmt *const sql_all[] __attribute__((unused)) = { " all "NULL };"
    } else {
        if (count) print "    },"
        else print "static const struct migration migrations[] __attribute__((unused)) = {"
        print "    { .version = 0 },\n};"
    }
    print "#endif"
}
