// SPDX-License-Identifier: Apache-2.0
//
// What a PKCS#12 file must not be (tests/fuzz/p12.py writes them, most with a MAC that is right):
// each is refused, quickly, and no bag of it is handed out; and the good ones open, so that it is
// the evil that is refused. Arguments: the directory of the corpus.
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "crypto/pkcs12.h"
#include "keyring/wallet.h"

static const char password[] = "correct horse battery staple";

// The first byte is the fuzz target's choice.
static int check(int dir, const char *name, bool good)
{
    CLEANUP(wallet_freep) struct wallet *wallet = NULL;
    struct buf bytes CLEANUP(buf_done);
    buf_init(&bytes, PKCS12_FILE_MAX + 1, false);
    if (file_read(dir, name, PKCS12_FILE_MAX, &bytes) != ERR_OK || bytes.len == 0)
        return 1;
    enum err err =
        wallet_decode(span_of(bytes.data + 1, bytes.len - 1), span_str(password), &wallet);
    bool refused = err == ERR_DAMAGED || err == ERR_PASSPHRASE || err == ERR_TOO_LARGE;
    if (good ? err == ERR_OK : refused && wallet == NULL)
        return 0;
    (void)fprintf(stderr, "%s: %s: %s\n", name, err_info(err)->name, err_detail());
    return 1;
}

int main(int argc, char **argv)
{
    int faults = 0;
    int count[2] = {0};
    CLEANUP(file_closep) int fd = -1;
    if (argc != 2 || secret_setup() != ERR_OK || file_open_dir(argv[1], &fd) != ERR_OK)
        return 2;
    DIR *dir = opendir(argv[1]);
    for (struct dirent *at = dir == NULL ? NULL : readdir(dir); at != NULL; at = readdir(dir)) {
        bool good = strncmp(at->d_name, "wallet-good", 11) == 0;
        if (!good && strncmp(at->d_name, "wallet-evil", 11) != 0)
            continue;
        faults += check(fd, at->d_name, good);
        count[good]++;
    }
    if (dir != NULL)
        (void)closedir(dir);
    (void)printf("%d evil, %d good, %d faults\n", count[0], count[1], faults);
    return faults == 0 && count[0] >= 30 && count[1] >= 2 ? 0 : 1;
}
