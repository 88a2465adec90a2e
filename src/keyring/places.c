// SPDX-License-Identifier: Apache-2.0
//
// The directories of contract A3: which are private, and which may be looked into.
#include "keyring/places.h"

#include "base/file.h"
#include "base/paths.h"
#include "keyring/ram.h"

static const struct {
    const char *path;
    enum file_guard guard;
} places[] = {
    {PATH_TDE_DIR, FILE_DIR_PRIVATE},
    {PATH_HSM_WALLET_DIR, FILE_DIR_PRIVATE},
    {PATH_HSM_RESTORE_DIR, FILE_DIR_PRIVATE},
    {PATH_STATE_DIR, FILE_DIR_PRIVATE},
    // Above those, and where settings lie that decide which code is loaded: they may be a package's
    // or an administrator's, with 0755, but whoever could write there could put others in place.
    {"./", FILE_DIR_SHARED}, // the root prefix
    {"usr/local/okv", FILE_DIR_SHARED},
    {PATH_HSM_DIR, FILE_DIR_SHARED},
    {PATH_GENERIC_DIR, FILE_DIR_SHARED},
    {PATH_SECURITY_DIR, FILE_DIR_SHARED},
    {PATH_HSM_LOG_DIR, FILE_DIR_SHARED},
    {PATH_CONF_DIR, FILE_DIR_SHARED},
    {PATH_RUN_DIR, FILE_DIR_SHARED},
};

size_t places_count(void)
{
    return sizeof places / sizeof *places;
}

const char *places_path(size_t number)
{
    return places[number].path;
}

enum err places_check_one(int root, size_t number)
{
    return file_check_dir(root, places[number].path, places[number].guard);
}

enum err places_check(int root, bool hsm)
{
    for (size_t i = 0; i < places_count(); i++)
        TRY(places_check_one(root, i));
    return hsm ? ram_check(root) : ERR_OK;
}
