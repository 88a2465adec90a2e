// SPDX-License-Identifier: Apache-2.0
//
// The OpenAPI 3.1 description of the REST interface, made from spec/api: JSON.
#ifndef KW_WEB_OPENAPI_H
#define KW_WEB_OPENAPI_H

extern const unsigned char openapi_document[];
extern const unsigned long openapi_document_len; // bytes

#endif
