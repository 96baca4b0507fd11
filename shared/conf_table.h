/* Included before a .def inside an array of struct sh_conf_opt, with CONF_STRUCT defined (see
 * conf.h). */
#define CONF_AT(field)       offsetof(struct CONF_STRUCT, field)
#define CONF_WORD(sym, word) word,
#define GROUP(key_, help_)   {.type = SH_CONF_GROUP, .key = key_, .help = help_},
#define BOOL(field, key_, def_, help_)                                                             \
	{.type = SH_CONF_BOOL, .key = key_, .def = def_, .help = help_, .offset = CONF_AT(field)},
#define UINT(field, key_, def_, min_, max_, unit_, help_)                                          \
	{.type = SH_CONF_UINT,                                                                     \
	 .key = key_,                                                                              \
	 .def = #def_,                                                                             \
	 .help = help_,                                                                            \
	 .offset = CONF_AT(field),                                                                 \
	 .min = min_,                                                                              \
	 .max = max_,                                                                              \
	 .unit = unit_},
#define STRING(field, key_, def_, size_, form_, help_)                                             \
	{.type = SH_CONF_STRING,                                                                   \
	 .key = key_,                                                                              \
	 .def = def_,                                                                              \
	 .help = help_,                                                                            \
	 .offset = CONF_AT(field),                                                                 \
	 .form = SH_CONF_##form_,                                                                  \
	 .size = size_},
#define ENUM(field, key_, def_, list, help_)                                                       \
	{.type = SH_CONF_ENUM,                                                                     \
	 .key = key_,                                                                              \
	 .def = def_,                                                                              \
	 .help = help_,                                                                            \
	 .offset = CONF_AT(field),                                                                 \
	 .words = (const char *const[]){list(CONF_WORD) NULL}},
#define STRINGS(field, key_, def_, most_, size_, form_, help_)                                     \
	{.type = SH_CONF_STRINGS,                                                                  \
	 .key = key_,                                                                              \
	 .def = def_,                                                                              \
	 .help = help_,                                                                            \
	 .offset = CONF_AT(field.n),                                                               \
	 .values = CONF_AT(field.v),                                                               \
	 .form = SH_CONF_##form_,                                                                  \
	 .size = size_,                                                                            \
	 .most = most_},
#define LIST(field, key_, def_, most_, item, table, help_)                                         \
	{.type = SH_CONF_LIST,                                                                     \
	 .key = key_,                                                                              \
	 .def = def_,                                                                              \
	 .help = help_,                                                                            \
	 .offset = CONF_AT(field.n),                                                               \
	 .values = CONF_AT(field.v),                                                               \
	 .size = sizeof(struct item),                                                              \
	 .most = most_,                                                                            \
	 .items = table},
