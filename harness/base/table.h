/* SPDX-License-Identifier: Apache-2.0
 * Text tables for terminals: columns as wide as their widest cell, numbers right-aligned. */
#ifndef BASE_TABLE_H
#define BASE_TABLE_H

#include <stdbool.h>

#include "base/str.h"

typedef struct table table;

/* `align`: one char per column, 'l' or 'r'. */
table *table_new(const char *align);
/* As many cells as columns; NULL cells are empty. Copies. Control characters and broken UTF-8 become '?'. */
void table_row(table *t, const char *const *cells);
void table_rule(table *t); /* a horizontal rule after the rows so far */
void table_render(const table *t, strbuf *out);
void table_free(table *t);

#endif
