#ifndef KIT_VIS_H
#define KIT_VIS_H
/*
 * Who sees and changes what (rulings.md 13), in one place: reads, counts, includes and filters all
 * take their condition from vis_where, and all field lists from vis_field.
 *
 *   class      who                                   sees
 *   PUBLIC     anonymous; members                    published (due) and active rows
 *   OWN        authors; users on users and media     these, and their own whatever the status
 *   ALL        editors, admins                       all rows, but not other people's private
 * fields ADMIN      api:admin                             all rows and fields VIS_OWNER resources:
 * the owner's rows only, all for ADMIN, none for PUBLIC.
 */
#include "common/base/buf.h"
#include "common/kit/token.h"
#include "proto/entity.h"

enum vis_class { VC_PUBLIC, VC_OWN, VC_ALL, VC_ADMIN, VC_MAX_ };
enum vis_class vis_class_of(const struct entity_def *e, const struct principal *who);
const char *vis_class_name(enum vis_class vc);

/* The condition on rows of `alias`, always with parentheses or a single term; `uid` is the text of
 * the parameter that holds the reader's id ("$2"), used only when vis_uses_uid().  Does not speak
 * of deleted_at. */
void vis_where(struct buf *b, const struct entity_def *e, enum vis_class vc, const char *alias,
               const char *uid);
/* Does vis_where ask who reads?  vis_uses_uid also when only what is shown of a row depends on it.
 */
bool vis_where_uses_uid(const struct entity_def *e, enum vis_class vc);
bool vis_uses_uid(const struct entity_def *e, enum vis_class vc);
/* May a reader of this class see the field, of his own row or of another's? */
bool vis_field(const struct entity_def *e, const struct field_def *f, enum vis_class vc, bool own);
/* Does the field set depend on whose row it is?  Then reads carry an `own` column. */
bool vis_varies(const struct entity_def *e, enum vis_class vc);
/* SQL text that is true when the row is the reader's, or NULL if the entity has no owner. */
const char *vis_own(struct arena *a, const struct entity_def *e, const char *alias,
                    const char *uid);

enum vis_action { ACT_CREATE, ACT_CHANGE, ACT_DELETE, ACT_PURGE };
enum vis_right { RIGHT_NONE, RIGHT_OWN, RIGHT_ALL };
enum vis_right vis_right_of(const struct entity_def *e, const struct principal *who,
                            enum vis_action act);
bool vis_is_admin(const struct principal *who); /* api:admin */
#endif
