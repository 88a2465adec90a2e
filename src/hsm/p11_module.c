// SPDX-License-Identifier: Apache-2.0
//
// Loading a vendor's library. It is untrusted code, but it is the code that the administrator
// named: the checks here make mistakes plain (wrong file, wrong architecture, anybody may write to
// it); what keeps a hostile library from harm is that hsmd holds nothing else.
//
// dlopen gets the path, not a descriptor: vendors' libraries find their companions relative to it.
// That the file checked is the file loaded is looked at afterwards.
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <linux/openat2.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "hsm/hsm_trace.h"
#include "hsm/p11.h"

#define NAMED "Could Not Load PKCS#11 Library"

void p11_call_begin(struct p11 *p11, const char *function)
{
    hsm_trace_announce(function);
    p11->call_begun = clock_mono_ms();
}

CK_RV p11_call_end(struct p11 *p11, const char *function, CK_RV rv)
{
    char text[P11_RV_TEXT];
    log_event(LOG_LEVEL_DEBUG, "pkcs11_call function=%s rv=\"%s\" ms=%lld", function,
              p11_rv_text(rv, text), (long long)(clock_mono_ms() - p11->call_begun));
    hsm_trace_bound();
    return rv;
}

// A link below the root prefix that was made as on a machine's own root ("/opt/…") means a file
// below the prefix.
static bool follow_in_root(int root, const char *path, char out[P11_PATH_MAX])
{
    struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT};
    CLEANUP(file_closep) int fd = (int)syscall(SYS_openat2, root, path + 1, &how, sizeof how);
    char link[32];
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = fd < 0 ? -1 : readlink(link, out, P11_PATH_MAX - 1);
    out[len < 0 ? 0 : len] = '\0';
    return len > 0;
}

// The path below the root prefix when the library lies there, else as it is.
static enum err resolve(int root, const char *path, char out[P11_PATH_MAX])
{
    if (path[0] == '\0')
        FAIL(ERR_HSM_LIBRARY, NAMED
             ": no library is configured; set VENDOR_NAME and PKCS11_LIB_LOC in okv_hsm.conf");
    if (path[0] != '/')
        FAIL(ERR_HSM_LIBRARY, NAMED " \"%s\": the path is not absolute; give the full path", path);
    char link[32];
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", root);
    char prefix[PATH_MAX];
    ssize_t len = readlink(link, prefix, sizeof prefix - 1);
    prefix[len < 0 ? 0 : len] = '\0';
    int put = -1;
    if (len > 1 && file_exists(root, path + 1))
        put = snprintf(out, P11_PATH_MAX, "%s%s", prefix, path);
    else
        put = snprintf(out, P11_PATH_MAX, "%s", path);
    if (put < 0 || put >= P11_PATH_MAX)
        FAIL(ERR_HSM_LIBRARY, NAMED " \"%.200s\": the path is too long", path);
    char inside[P11_PATH_MAX];
    if (len > 1 && access(out, F_OK) != 0 && follow_in_root(root, path, inside))
        memcpy(out, inside, sizeof inside);
    return ERR_OK;
}

// The ELF header's class and machine must be those of this very program.
static enum err check_elf(int fd, const char *path)
{
    ElfW(Ehdr) header = {.e_type = 0};
    ElfW(Ehdr) own = {.e_type = 0};
    CLEANUP(file_closep) int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (self < 0 || pread(self, &own, sizeof own, 0) != (ssize_t)sizeof own)
        FAIL(ERR_INTERNAL, "could not read the program's own header");
    ssize_t got = pread(fd, &header, sizeof header, 0);
    if (got < (ssize_t)SELFMAG || memcmp(header.e_ident, ELFMAG, SELFMAG) != 0)
        FAIL(ERR_HSM_LIBRARY, NAMED " \"%s\": it is not a shared library (no ELF header)", path);
    if (got != (ssize_t)sizeof header || header.e_ident[EI_CLASS] != own.e_ident[EI_CLASS])
        FAIL(ERR_HSM_LIBRARY, NAMED " \"%s\": it is not a 64-bit library; install the 64-bit one",
             path);
    if (header.e_machine != own.e_machine)
        FAIL(ERR_HSM_LIBRARY,
             NAMED " \"%s\": it is made for another processor (machine %u, not %u)", path,
             header.e_machine, own.e_machine);
    if (header.e_type != ET_DYN)
        FAIL(ERR_HSM_LIBRARY, NAMED " \"%s\": it is a program or object file, not a shared library",
             path);
    return ERR_OK;
}

// Who may replace the library may run code in hsmd. Vendors' set-up scripts leave such directories
// behind, so that this is told, not refused.
static void warn_of_parent(const char *path)
{
    char real[PATH_MAX];
    if (realpath(path, real) == NULL)
        return;
    for (char *slash = strrchr(real, '/'); slash != NULL && slash != real;
         slash = strrchr(real, '/')) {
        *slash = '\0';
        struct stat st;
        if (stat(real, &st) == 0 && (st.st_mode & S_IWOTH) != 0)
            log_event(LOG_LEVEL_WARN,
                      "library_directory_writable path=\"%s\" mode=%04o next=\"run chmod o-w on "
                      "it: anybody can replace the library\"",
                      real, (unsigned)(st.st_mode & 07777));
    }
}

static enum err check_file(const char *path, struct stat *ret_stat)
{
    CLEANUP(file_closep) int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    char text[128];
    if (fd < 0)
        FAIL(ERR_HSM_LIBRARY, NAMED " \"%s\": %s; check that the vendor's client is installed",
             path, strerror_r(errno, text, sizeof text));
    if (fstat(fd, ret_stat) != 0 || !S_ISREG(ret_stat->st_mode))
        FAIL(ERR_HSM_LIBRARY, NAMED " \"%s\": it is not a regular file", path);
    if ((ret_stat->st_mode & S_IWOTH) != 0)
        FAIL(ERR_HSM_LIBRARY,
             NAMED " \"%s\": anybody may write to it (mode %04o); run chmod o-w on it", path,
             (unsigned)(ret_stat->st_mode & 07777));
    TRY(check_elf(fd, path));
    warn_of_parent(path);
    return ERR_OK;
}

static enum err check_loaded(void *library, const char *path, const struct stat *wanted)
{
    struct link_map *map = NULL;
    struct stat st;
    if (dlinfo(library, RTLD_DI_LINKMAP, &map) != 0 || stat(map->l_name, &st) != 0 ||
        st.st_dev != wanted->st_dev || st.st_ino != wanted->st_ino)
        FAIL(ERR_HSM_LIBRARY, NAMED " \"%s\": the file was replaced while it was loaded; try again",
             path);
    return ERR_OK;
}

// Every one of contract B12's functions that this program calls.
static enum err check_functions(const CK_FUNCTION_LIST *f, const char *path)
{
#define NEED(function)                                                                             \
    {                                                                                              \
#function, f->function != NULL                                                             \
    }
    const struct {
        const char *name;
        bool present;
    } needed[] = {
        NEED(C_CloseSession), NEED(C_Decrypt),          NEED(C_DecryptInit),
        NEED(C_Encrypt),      NEED(C_EncryptInit),      NEED(C_Finalize),
        NEED(C_FindObjects),  NEED(C_FindObjectsFinal), NEED(C_FindObjectsInit),
        NEED(C_GetSlotList),  NEED(C_GetTokenInfo),     NEED(C_Initialize),
        NEED(C_Login),        NEED(C_OpenSession),
    };
#undef NEED
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        if (!needed[i].present)
            FAIL(ERR_HSM_LIBRARY, NAMED " \"%s\": it lacks the function %s", path, needed[i].name);
    }
    return ERR_OK;
}

static enum err get_functions(struct p11 *p11, const char *path)
{
    CK_RV (*get_list)(CK_FUNCTION_LIST **) = NULL;
    // ISO C knows no conversion from an object pointer to a function's; POSIX does.
    *(void **)&get_list = dlsym(p11->library, "C_GetFunctionList");
    if (get_list == NULL)
        FAIL(ERR_HSM_LIBRARY,
             NAMED " \"%s\": it has no C_GetFunctionList, so it is no PKCS#11 library", path);
    CK_FUNCTION_LIST *list = NULL;
    p11_call_begin(p11, "C_GetFunctionList");
    CK_RV rv = p11_call_end(p11, "C_GetFunctionList", get_list(&list));
    char text[P11_RV_TEXT];
    if (rv != CKR_OK || list == NULL)
        FAIL(ERR_HSM_LIBRARY, NAMED " \"%s\": C_GetFunctionList gave %s", path,
             rv == CKR_OK ? "no list" : p11_rv_text(rv, text));
    if (list->version.major != 2)
        FAIL(ERR_HSM_LIBRARY, NAMED " \"%s\": it speaks PKCS#11 %u.%u, not 2.x", path,
             list->version.major, list->version.minor);
    p11->functions = list;
    return ERR_OK;
}

// Some libraries refuse locking by the operating system, some refuse arguments, some want them.
// `reserved` is pReserved, which the standard keeps for itself and some libraries read a text from;
// "" for none, and then without arguments as the last try.
static enum err initialize(struct p11 *p11, const char *path, const char *reserved)
{
    void *given = reserved[0] == '\0' ? NULL : (void *)(uintptr_t)reserved;
    CK_C_INITIALIZE_ARGS locking = {.flags = CKF_OS_LOCKING_OK, .pReserved = given};
    CK_C_INITIALIZE_ARGS plain = {.flags = 0, .pReserved = given};
    CK_C_INITIALIZE_ARGS *tries[] = {&locking, &plain, NULL};
    size_t count = given == NULL ? 3 : 2;
    CK_RV rv = CKR_OK;
    for (size_t i = 0; i < count; i++) {
        rv = P11_CALL(p11, C_Initialize, tries[i]);
        if (rv != CKR_CANT_LOCK && rv != CKR_NEED_TO_CREATE_THREADS && rv != CKR_ARGUMENTS_BAD)
            break;
    }
    if (rv == CKR_OK || rv == CKR_CRYPTOKI_ALREADY_INITIALIZED) {
        p11->initialized = true;
        return ERR_OK;
    }
    char text[P11_RV_TEXT];
    FAIL(ERR_HSM_LIBRARY,
         NAMED " \"%s\": C_Initialize gave %s; check the vendor's service, its configuration, "
               "okv_hsm_env%s",
         path, p11_rv_text(rv, text),
         rv == CKR_ARGUMENTS_BAD ? " and HSM_INIT_RESERVED in okv_security.conf" : "");
}

enum err p11_module_load(struct p11 *p11, int root, const struct hsm_settings *settings)
{
    char full[P11_PATH_MAX];
    struct stat wanted;
    TRY(resolve(root, settings->library, full));
    TRY(check_file(full, &wanted));
    p11_call_begin(p11, "dlopen");
    p11->library = dlopen(full, RTLD_NOW | RTLD_LOCAL);
    log_event(LOG_LEVEL_DEBUG, "library_loaded path=\"%s\" ok=%d ms=%lld", full,
              p11->library != NULL, (long long)(clock_mono_ms() - p11->call_begun));
    if (p11->library == NULL)
        FAIL(ERR_HSM_LIBRARY, NAMED " \"%s\": %s", full, dlerror());
    TRY(check_loaded(p11->library, full, &wanted));
    TRY(get_functions(p11, full));
    TRY(initialize(p11, full, settings->init_reserved));
    TRY(check_functions(p11->functions, full));
    // The library may have taken it away.
    (void)signal(SIGPIPE, SIG_IGN);
    return ERR_OK;
}

void p11_module_unload(struct p11 *p11)
{
    if (p11->in_session)
        (void)P11_CALL(p11, C_CloseSession, p11->session);
    if (p11->initialized)
        (void)P11_CALL(p11, C_Finalize, NULL); // may fail or be missing: the process ends anyway
    if (p11->library != NULL)
        (void)dlclose(p11->library);
    p11->library = NULL;
    p11->in_session = false;
    p11->initialized = false;
}
