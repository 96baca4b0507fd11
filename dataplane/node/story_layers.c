#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "dataplane/node/story.h"
int stories_layers(void){ return 0; }
