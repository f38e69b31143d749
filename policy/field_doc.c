/* The table for people: `brim explain policy` and the reference of docs/POLICY.md. */
#include "policy/field.h"

/* The longest paths are indented like the rest; a path that is longer still pushes its row to the
 * right. */
enum { PATH_WIDTH = 36, TYPE_WIDTH = 14, DEFAULT_WIDTH = 10 };

static void add_range(const struct field *f, struct strbuf *out)
{
    if (f->words != NULL)
        field_expected(f, out);
    else if (f->min != NULL && f->max != NULL)
        (void)strbuf_addf(out, "%s to %s%s%s", f->min, f->max, f->instead != NULL ? ", or " : "",
                          f->instead != NULL ? f->instead : "");
    else
        (void)strbuf_add_char(out, '-');
}

static const char *default_of(const struct field *f)
{
    return f->def != NULL ? f->def : f->required ? "required" : "-";
}

static bool has_value(const struct field *f)
{
    return f->type != FIELD_GROUP && f->type != FIELD_LIST && f->type != FIELD_OVERRIDES;
}

static void add_row(const struct field *f, struct strbuf *out)
{
    (void)strbuf_addf(out, "%-*s %-*s %-*s ", PATH_WIDTH, f->path, TYPE_WIDTH,
                      field_type_name(f->type), DEFAULT_WIDTH, default_of(f));
    add_range(f, out);
    (void)strbuf_add_char(out, '\n');
}

static void add_table(struct strbuf *out)
{
    (void)strbuf_addf(out, "%-*s %-*s %-*s %s\n", PATH_WIDTH, "KEY", TYPE_WIDTH, "TYPE",
                      DEFAULT_WIDTH, "DEFAULT", "VALUES");
    for (size_t i = 0; i < field_count(); i++) {
        if (has_value(field_at(i)))
            add_row(field_at(i), out);
    }
}

static void add_one(const struct field *f, struct strbuf *out)
{
    (void)strbuf_addf(out, "%s\n    %s\n", f->path, f->doc);
    (void)strbuf_addf(out, "    type:     %s\n", field_type_name(f->type));
    if (f->unit != NULL)
        (void)strbuf_addf(out, "    unit:     %s\n", f->unit);
    if (!has_value(f))
        return;
    (void)strbuf_add(out, SV("    expected: "));
    field_expected(f, out);
    (void)strbuf_addf(out, "\n    default:  %s\n",
                      f->def != NULL ? f->def
                      : f->required  ? "none, the key is required"
                                     : "none");
    if (f->min != NULL && f->max != NULL)
        (void)strbuf_addf(out, "    range:    %s to %s\n", f->min, f->max);
}

static bool stands_under(const struct field *f, struct sv path)
{
    struct sv rest = sv_from(f->path);

    return sv_starts(rest, path) && rest.len > path.len &&
           (rest.at[path.len] == '.' || rest.at[path.len] == '[');
}

/* The field of a path with or without its "spec.". */
static const struct field *find_loosely(struct sv path)
{
    const struct field *f = field_find(path);

    for (size_t i = 0; i < field_count() && f == NULL; i++) {
        struct sv full = sv_from(field_at(i)->path);

        if (sv_starts(full, SV("spec.")) && sv_eq(sv_skip(full, 5), path))
            f = field_at(i);
    }
    return f;
}

bool field_explain(const char *key, struct strbuf *out)
{
    struct sv path = sv_from(key);
    const struct field *f;

    if (path.len == 0) {
        add_table(out);
        return true;
    }
    f = find_loosely(path);
    if (f == NULL)
        return false;
    add_one(f, out);
    for (size_t i = 0; i < field_count(); i++) {
        if (!has_value(field_at(i)) || !stands_under(field_at(i), sv_from(f->path)))
            continue;
        (void)strbuf_add_char(out, '\n');
        add_one(field_at(i), out);
    }
    return true;
}

/* A cell of a Markdown table. */
static void add_cell(const char *text, struct strbuf *out)
{
    for (; *text != '\0'; text++) {
        if (*text == '|')
            (void)strbuf_add_char(out, '\\');
        (void)strbuf_add_char(out, *text);
    }
}

static void add_reference_row(const struct field *f, struct strbuf *out)
{
    (void)strbuf_addf(out, "| `%s` | %s | ", f->path, field_type_name(f->type));
    if (f->def != NULL)
        (void)strbuf_addf(out, "`%s` | ", f->def);
    else
        (void)strbuf_addf(out, "%s | ", f->required ? "required" : "");
    if (has_value(f))
        add_range(f, out);
    (void)strbuf_add(out, SV(" | "));
    add_cell(f->doc, out);
    (void)strbuf_add(out, SV(" |\n"));
}

void field_reference(struct strbuf *out)
{
    (void)strbuf_add(out, SV("| key | type | default | values | meaning |\n"
                             "| --- | --- | --- | --- | --- |\n"));
    for (size_t i = 0; i < field_count(); i++)
        add_reference_row(field_at(i), out);
}
