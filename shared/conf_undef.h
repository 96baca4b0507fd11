/* Included at the end of a .def: the next includer says anew what rows become. */
#undef GROUP
#undef BOOL
#undef UINT
#undef STRING
#undef ENUM
#undef STRINGS
#undef LIST
#undef OPTIONS
#undef OPTIONS_ITEM
#undef CONF_STRUCT
#undef CONF_AT
#undef CONF_WORD
