// SPDX-License-Identifier: Apache-2.0
//
// Runs a fuzz target over the files of directories: what the fuzzer once found stays tested. Each
// input is cut at every length up to 512 bytes, too, and has each of its first bytes flipped.
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

enum { INPUT_MAX = 1 << 20, MANGLED = 512 };

static size_t files;

static void run(const uint8_t *data, size_t len)
{
    // A copy of exactly this size, so that a sanitizer sees the first byte too many.
    uint8_t *copy = calloc(len > 0 ? len : 1, 1);
    PROMISE(copy != NULL);
    memcpy(copy, data, len);
    (void)LLVMFuzzerTestOneInput(copy, len);
    free(copy);
}

static void run_mangled(uint8_t *data, size_t len)
{
    run(data, len);
    for (size_t i = 0; i < len && i < MANGLED; i++) {
        run(data, i);
        data[i] ^= 0xff;
        run(data, len);
        data[i] ^= 0xff;
    }
}

static void run_file(const char *path)
{
    static uint8_t data[INPUT_MAX];
    FILE *file = fopen(path, "rb");
    PROMISE(file != NULL);
    size_t len = fread(data, 1, sizeof data, file);
    (void)fclose(file);
    run_mangled(data, len);
    files++;
}

static void run_directory(const char *path)
{
    char name[4096];
    DIR *dir = opendir(path);
    PROMISE(dir != NULL);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (entry->d_name[0] == '.')
            continue;
        (void)snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        run_file(name);
    }
    (void)closedir(dir);
}

int main(int argc, char **argv)
{
    static uint8_t nothing[1];
    run(nothing, 0);
    for (int i = 1; i < argc; i++)
        run_directory(argv[i]);
    (void)printf("%zu files\n", files);
    return files > 0 ? 0 : 1;
}
