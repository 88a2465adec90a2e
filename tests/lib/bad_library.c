// SPDX-License-Identifier: Apache-2.0
// Libraries that are no PKCS#11 modules, or bad ones; meson builds one for each value of BAD. The
// constructors run while the library is being loaded.
#include <dlfcn.h>
#include <limits.h>
#include <p11-kit/pkcs11.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#define BAD_NO_SYMBOL 1 // exports something else
#define BAD_ABORTS    2 // ends the process while it is loaded
#define BAD_REFUSES   3 // C_Initialize prints and returns CKR_GENERAL_ERROR
#define BAD_NO_LIST   4 // C_GetFunctionList says CKR_OK and leaves NULL
#define BAD_HANGS     5 // never finishes loading
#define BAD_FORKS     6 // leaves a child behind that tries to live on for itself
#define BAD_NEEDS     7 // wants a library that is not there
#define BAD_GIVES_WAY 8 // another file, its name and ".new", takes its place while it is loaded

#if BAD == BAD_NO_SYMBOL
extern int bad_library_version;
int bad_library_version = 1;
#elif BAD == BAD_ABORTS
__attribute__((constructor)) static void on_load(void)
{
    abort();
}
#elif BAD == BAD_HANGS
__attribute__((constructor)) static void on_load(void)
{
    for (;;) {
        pause();
    }
}
#elif BAD == BAD_FORKS
// The name is what the test looks for.
__attribute__((constructor)) static void on_load(void)
{
    if (fork() == 0) {
        (void)setsid();
        (void)setpgid(0, 0);
        (void)prctl(PR_SET_NAME, "kw-left-behind");
        for (;;) {
            pause();
        }
    }
}
#elif BAD == BAD_GIVES_WAY
__attribute__((constructor)) static void on_load(void)
{
    char next[PATH_MAX];
    Dl_info own;
    static const char here[] = "some address of this library";
    if (dladdr(here, &own) == 0) {
        abort();
    }
    (void)snprintf(next, sizeof next, "%s.new", own.dli_fname);
    if (rename(next, own.dli_fname) != 0) {
        abort();
    }
}
#elif BAD == BAD_NEEDS
extern int missing_library_function(void);
__attribute__((constructor)) static void on_load(void)
{
    (void)missing_library_function();
}
#elif BAD == BAD_REFUSES
static ck_rv_t initialize(void *init_args)
{
    static const char text[] = "vendor: licence file not found\n";
    (void)init_args;
    if (write(STDOUT_FILENO, text, sizeof text - 1) < 0 ||
        write(STDERR_FILENO, text, sizeof text - 1) < 0) {
        return CKR_FUNCTION_FAILED;
    }
    return CKR_GENERAL_ERROR;
}

static struct ck_function_list list = {.version = {2, 40}, .C_Initialize = initialize};

ck_rv_t C_GetFunctionList(struct ck_function_list **ret_list)
{
    *ret_list = &list;
    return CKR_OK;
}
#elif BAD == BAD_NO_LIST
ck_rv_t C_GetFunctionList(struct ck_function_list **ret_list)
{
    *ret_list = NULL;
    return CKR_OK;
}
#else
#error "BAD is not set"
#endif
