// SPDX-License-Identifier: Apache-2.0
//
// The data-flow diagram, as tables.
#include "proc/wiring.h"

const struct wiring_pair wiring_pairs[] = {
    {ROLE_FRONT, ROLE_READER, true},    {ROLE_FRONT, ROLE_WRITER, true},
    {ROLE_WEB, ROLE_READER, false},     {ROLE_WEB, ROLE_WRITER, false},
    {ROLE_WEB, ROLE_ADMIN, false},      {ROLE_WEB, ROLE_PEOPLE, false},
    {ROLE_READER, ROLE_KEEPER, false},  {ROLE_WRITER, ROLE_KEEPER, false},
    {ROLE_ADMIN, ROLE_KEEPER, false},   {ROLE_PEOPLE, ROLE_KEEPER, false},
    {ROLE_COURIER, ROLE_READER, false}, {ROLE_COURIER, ROLE_WRITER, false},
};
const size_t wiring_pair_count = sizeof wiring_pairs / sizeof *wiring_pairs;

bool wiring_may_spawn(enum proc_role asker, enum proc_role role)
{
    if (asker == ROLE_KEEPER)
        return role == ROLE_HSMD || role == ROLE_PROVER;
    return asker == ROLE_PROVER && role == ROLE_HSMD;
}

const char *wiring_program(enum proc_role role)
{
    static const char *const programs[ROLE_COUNT] = {
        [ROLE_FRONT] = "keyward-front",   [ROLE_WEB] = "keyward-web",
        [ROLE_READER] = "keyward-engine", [ROLE_WRITER] = "keyward-engine",
        [ROLE_ADMIN] = "keyward-engine",  [ROLE_PEOPLE] = "keyward-engine",
        [ROLE_KEEPER] = "keyward-keeper", [ROLE_HSMD] = "keyward-hsmd",
        [ROLE_PROVER] = "keyward-keeper", [ROLE_COURIER] = "keyward-courier",
    };
    return (unsigned)role < ROLE_COUNT ? programs[role] : NULL;
}

const char *wiring_role_argument(enum proc_role role)
{
    static const char *const arguments[ROLE_COUNT] = {
        [ROLE_READER] = "--role=reader", [ROLE_WRITER] = "--role=writer",
        [ROLE_ADMIN] = "--role=admin",   [ROLE_PEOPLE] = "--role=people",
        [ROLE_PROVER] = "--prove",
    };
    return (unsigned)role < ROLE_COUNT ? arguments[role] : NULL;
}
