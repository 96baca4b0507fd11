/* Included before a .def inside a struct: rows become members (see conf.h). */
#define GROUP(key, help)
#define BOOL(field, key, def, help)                 bool field;
#define UINT(field, key, def, min, max, unit, help) uint32_t field;
#define STRING(field, key, def, size, form, help)   char field[size];
#define ENUM(field, key, def, list, help)           int field;
#define STRINGS(field, key, def, most, size, form, help)                                           \
	struct {                                                                                   \
		uint32_t n;                                                                        \
		char v[most][size];                                                                \
	} field;
#define LIST(field, key, def, most, item, table, help)                                             \
	struct {                                                                                   \
		uint32_t n;                                                                        \
		struct item v[most];                                                               \
	} field;
