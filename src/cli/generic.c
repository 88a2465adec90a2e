// SPDX-License-Identifier: Apache-2.0
//
// Invariant: the files as made here set nothing that an absent file would not (contract A4).
#include "cli/generic.h"

#include <sys/stat.h>

#include "base/file.h"
#include "base/paths.h"

static const char hsm_conf[] =
    "# The HSM whose vendor is not built in. All three are required; the vendor's guide says what\n"
    "# to write.\n"
    "\n"
    "# The vendor's name as it is to be chosen when the HSM is initialized.\n"
    "VENDOR_NAME=\"\"\n"
    "\n"
    "# The full path of the vendor's PKCS#11 library. Name it in PRESERVED_FILES, too.\n"
    "PKCS11_LIB_LOC=\"\"\n"
    "\n"
    "# Files and directories to be kept by a major upgrade: full paths, with colons between them,\n"
    "# on one line.\n"
    "PRESERVED_FILES=\"\"\n";

static const char hsm_env[] =
    "# Environment variables that the vendor's PKCS#11 library needs, one a line. No other "
    "process\n"
    "# gets them. An example, which has no effect before the '#' is removed:\n"
    "#EXAMPLE_ENV_VAR_NAME=\"EXAMPLE_ENV_VAR_VALUE\"\n";

static const char mid_upgrade[] =
    "#!/bin/bash\n"
    "# Puts right, in the middle of an upgrade, what the HSM's client needs: users, groups,\n"
    "# services, owners and modes of files. LOGTAG and LOGDEBUG are for logger; exit with\n"
    "# DBFW_PM_CHANGED when something was changed.\n"
    "######################################################################\n"
    "# Do not make changes above this line\n"
    "######################################################################\n"
    "logger -t \"${LOGTAG}\" -p \"${LOGDEBUG}\" \"okv_hsm_mid_upgrade has nothing to do\"\n"
    "exit ${DBFW_PM_NO_CHANGE_REQUIRED}\n";

static const char security_conf[] = "HSM_ENABLED=\"0\"\n"
                                    "HSM_KEY_EXTRACTABLE=\"0\"\n"
                                    "HSM_REVERSE_MIGRATE_ENABLED=\"1\"\n";

static const struct {
    const char *directory;
    const char *path;
    const char *text;
    mode_t mode;
} files[] = {
    {PATH_GENERIC_DIR, PATH_HSM_CONF, hsm_conf, 0600},
    {PATH_GENERIC_DIR, PATH_HSM_ENV, hsm_env, 0600},
    {PATH_GENERIC_DIR, PATH_GENERIC_DIR "/okv_hsm_mid_upgrade", mid_upgrade, 0700},
    {PATH_SECURITY_DIR, PATH_SECURITY_CONF, security_conf, 0600},
};

enum err generic_make(int root_fd)
{
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        if (file_exists(root_fd, files[i].path))
            continue;
        TRY(file_mkdirs(root_fd, files[i].directory));
        TRY(file_write(root_fd, files[i].path, span_str(files[i].text)));
        if (fchmodat(root_fd, files[i].path, files[i].mode, 0) != 0)
            return file_raise("set the mode of", files[i].path);
    }
    return ERR_OK;
}
