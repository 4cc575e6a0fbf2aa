//===- Message.c - Error sentences and versioned structs ------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Libc.h"
#include "Runtime.h"

//===----------------------------------------------------------------------===//
// Sentences
//===----------------------------------------------------------------------===//

typedef struct {
  char *text;
  size_t size; // at least 1
  size_t used; // below size
} Writer;

static void putChar(Writer *writer, char c) {
  if (writer->used + 1 < writer->size)
    writer->text[writer->used++] = c;
}

static void putString(Writer *writer, const char *string) {
  while (*string)
    putChar(writer, *string++);
}

static void putUnsigned(Writer *writer, uint64_t value) {
  char digits[20];
  unsigned count = 0;
  do
    digits[count++] = (char)('0' + value % 10);
  while (value /= 10);
  while (count)
    putChar(writer, digits[--count]);
}

/// d.dde[-]d: enough to see how wrong a self-test went.
static void putFloat(Writer *writer, double value) {
  if (value != value) {
    putString(writer, "nan");
    return;
  }
  if (value < 0) {
    putChar(writer, '-');
    value = -value;
  }
  if (value > 1e300 || value < 1e-300) {
    putString(writer, value < 1 ? "0" : "inf");
    return;
  }
  int exponent = 0;
  for (; value >= 9.995; ++exponent)
    value /= 10;
  for (; value < 0.9995; --exponent)
    value *= 10;
  unsigned hundredths = (unsigned)(value * 100 + 0.5);
  putUnsigned(writer, hundredths / 100);
  putChar(writer, '.');
  putUnsigned(writer, hundredths / 10 % 10);
  putUnsigned(writer, hundredths % 10);
  putChar(writer, 'e');
  if (exponent < 0)
    putChar(writer, '-');
  putUnsigned(writer, (uint64_t)(exponent < 0 ? -exponent : exponent));
}

static void formatArguments(char *text, size_t size, const char *format,
                            __builtin_va_list arguments) {
  if (!text || !size)
    return;
  Writer writer = {text, size, 0};
  for (; *format; ++format) {
    if (*format != '%') {
      putChar(&writer, *format);
      continue;
    }
    switch (*++format) {
    case 's':
      putString(&writer, __builtin_va_arg(arguments, const char *));
      break;
    case 'u':
      putUnsigned(&writer, __builtin_va_arg(arguments, uint64_t));
      break;
    case 'd': {
      int64_t value = __builtin_va_arg(arguments, int64_t);
      if (value < 0)
        putChar(&writer, '-');
      putUnsigned(&writer, value < 0 ? -(uint64_t)value : (uint64_t)value);
      break;
    }
    default:
      putFloat(&writer, __builtin_va_arg(arguments, double));
    }
  }
  text[writer.used] = 0;
}

void treadle_format(char *text, size_t size, const char *format, ...) {
  __builtin_va_list arguments;
  __builtin_va_start(arguments, format);
  formatArguments(text, size, format, arguments);
  __builtin_va_end(arguments);
}

treadle_status treadle_fail(treadle_session *session, treadle_status status,
                            const char *format, ...) {
  __builtin_va_list arguments;
  __builtin_va_start(arguments, format);
  formatArguments(session->message, sizeof(session->message), format,
                  arguments);
  __builtin_va_end(arguments);
  return status;
}

//===----------------------------------------------------------------------===//
// Versioned structs
//===----------------------------------------------------------------------===//

treadle_status treadle_check_content(treadle_session *session) {
  if (!treadle_on_gpu(session) || !session->cuda->lost)
    return TREADLE_STATUS_OK;
  return treadle_fail(session, TREADLE_STATUS_DEVICE,
                      "the session's states are lost, since a call has failed "
                      "on the GPU: reset it, roll it back or load a saved one");
}

/// Larger sizes are no sizes: a struct_size that was never set.
enum { largestStruct = 4096 };

bool treadle_read_struct(void *own, size_t size, size_t first,
                         const void *callers) {
  size_t given;
  memcpy(&given, callers, sizeof(given));
  if (given < first || given > largestStruct)
    return false;
  // A newer caller may set options that this library does not know. Ignoring
  // them would do something else than it was asked to.
  for (size_t i = size; i < given; ++i)
    if (((const uint8_t *)callers)[i])
      return false;
  memset(own, 0, size);
  memcpy(own, callers, given < size ? given : size);
  return true;
}

bool treadle_write_struct(void *callers, const void *own, size_t size,
                          size_t first) {
  size_t given;
  memcpy(&given, callers, sizeof(given));
  if (given < first)
    return false;
  // All but struct_size, which stays the caller's.
  size_t written = given < size ? given : size;
  memcpy((uint8_t *)callers + sizeof(size_t),
         (const uint8_t *)own + sizeof(size_t), written - sizeof(size_t));
  return true;
}
