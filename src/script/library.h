/* The text of the Lua modules in lua/lib, which the build puts into the program (tools/embed-lua): a worker never reads
 * the disk. Constant. */
#ifndef MF_SCRIPT_LIBRARY_H
#define MF_SCRIPT_LIBRARY_H

struct script_library {
    const char *name, *source;
};
/* The last one's name is NULL. */
extern const struct script_library script_libraries[];

#endif
