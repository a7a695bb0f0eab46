#include "services/analytics/cells.h"

#include "common/base/siphash.h"

enum { cells_first = 256, bins_first = 1024 };

const int64_t level_s[LEVELS_MAX_] = { 60, 3600, 86400 };

void cells_init(struct cells *c, struct arena *a)
{
    *c = (struct cells){ .arena = a, .max = cells_first, .nslots = 2 * cells_first };
    c->v = arena_raw(a, c->max * sizeof *c->v);
    c->slots = arena_alloc(a, c->nslots * sizeof *c->slots);
    c->bins_max = bins_first;
    c->bins = arena_raw(a, c->bins_max * sizeof *c->bins);
}

static bool same(const struct cell_key *a, const struct cell_key *b)
{
    return a->bucket == b->bucket && a->route == b->route && a->consumer == b->consumer &&
           a->level == b->level && a->dim == b->dim && a->class == b->class;
}

static size_t slot_of(const struct cells *c, const struct cell_key *k)
{
    static const unsigned char fixed[16] = "cells";
    const int64_t words[] = { k->bucket, k->route, k->consumer,
                              k->level | k->dim << 8 | k->class << 16 };
    size_t i = siphash(fixed, words, sizeof words) & (c->nslots - 1);
    while (c->slots[i] && !same(&c->v[c->slots[i] - 1].key, k))
        i = (i + 1) & (c->nslots - 1);
    return i;
}

static void grow(struct cells *c)
{
    struct cell *more = arena_raw(c->arena, 2 * c->max * sizeof *more);
    memcpy(more, c->v, c->n * sizeof *more);
    c->v = more;
    c->max *= 2;
    c->nslots = 2 * c->max;
    c->slots = arena_alloc(c->arena, c->nslots * sizeof *c->slots);
    for (size_t i = 0; i < c->n; i++)
        c->slots[slot_of(c, &c->v[i].key)] = (uint32_t)i + 1;
}

struct cell *cells_at(struct cells *c, const struct cell_key *key)
{
    size_t i = slot_of(c, key);
    if (c->slots[i])
        return &c->v[c->slots[i] - 1];
    if (c->n == c->max) {
        grow(c);
        i = slot_of(c, key);
    }
    c->v[c->n] = (struct cell){ .key = *key };
    c->slots[i] = (uint32_t)++c->n;
    return &c->v[c->n - 1];
}

void cells_bin(struct cells *c, const struct cell *cell, unsigned bin, uint64_t n)
{
    uint32_t at = (uint32_t)(cell - c->v),
             *last = &c->recent[(at * 31 + bin) % ARRAY_LEN(c->recent)];
    struct cell_bin *known = *last ? &c->bins[*last - 1] : NULL;
    if (known && known->cell == at && known->bin == bin) {
        known->n += n;
        return;
    }
    if (c->nbins == c->bins_max) {
        struct cell_bin *more = arena_raw(c->arena, 2 * c->bins_max * sizeof *more);
        memcpy(more, c->bins, c->nbins * sizeof *more);
        c->bins = more;
        c->bins_max *= 2;
    }
    c->bins[c->nbins++] = (struct cell_bin){ .cell = at, .bin = (uint16_t)bin, .n = n };
    *last = (uint32_t)c->nbins;
}

struct adding {
    struct cells *cells;
    const struct cell *cell;
};

static void add_bin(void *ctx, unsigned bin, uint64_t n)
{
    struct adding *a = ctx;
    cells_bin(a->cells, a->cell, bin, n);
}

bool cells_bins_hex(struct cells *c, const struct cell *cell, const char *hex, size_t n)
{
    return sketch_walk_hex(hex, n, add_bin, &(struct adding){ c, cell });
}

static int by_cell_and_bin(const void *pa, const void *pb)
{
    const struct cell_bin *a = pa, *b = pb;
    if (a->cell != b->cell)
        return a->cell < b->cell ? -1 : 1;
    return (a->bin > b->bin) - (a->bin < b->bin);
}

void cells_finish(struct cells *c)
{
    qsort(c->bins, c->nbins, sizeof *c->bins, by_cell_and_bin);
    size_t at = 0;
    for (size_t i = 0; i < c->n; i++) {
        size_t end = at, used = 0;
        while (end < c->nbins && c->bins[end].cell == i) { /* equal bins become one */
            if (end > at && c->bins[at + used - 1].bin == c->bins[end].bin)
                c->bins[at + used - 1].n += c->bins[end].n;
            else
                c->bins[at + used++] = c->bins[end];
            end++;
        }
        struct sketch_writer w;
        sketch_begin(&w, c->arena, used);
        for (size_t k = at; k < at + used; k++)
            sketch_put(&w, c->bins[k].bin, c->bins[k].n);
        c->v[i].sketch = w.data;
        c->v[i].sketch_n = w.n;
        at = end;
    }
}
