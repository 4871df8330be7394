/*
 * JSON as text, for programs that hand it on rather than look into it: a buffer that grows, strings written with their escapes, and
 * the extent of a value. Numbers and characters stay as they are, whatever a parser would make of them.
 */
#ifndef JSON_TEXT_H
#define JSON_TEXT_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Text that grows. It always has a NUL behind it; all zero is empty. */
typedef struct {
  char *bytes;
  size_t len, size;
} text_buffer;

static inline void text_append(text_buffer *text, const char *bytes, size_t len) {
  if (text->size - text->len <= len) {
    text->size = (text->len + len + 1) * 2;
    text->bytes = realloc(text->bytes, text->size);
    if (text->bytes == NULL) {
      fputs("out of memory\n", stderr);
      exit(1);
    }
  }
  if (len > 0) memcpy(text->bytes + text->len, bytes, len);
  text->len += len;
  text->bytes[text->len] = '\0';
}

static inline void text_append_string(text_buffer *text, const char *string) { text_append(text, string, strlen(string)); }

/* Short pieces: what does not fit is cut. */
static inline void text_append_format(text_buffer *text, const char *format, ...) {
  char piece[256];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(piece, sizeof piece, format, arguments);
  va_end(arguments);
  text_append_string(text, piece);
}

/* UTF-8 as a JSON string; NUL and other control characters are in it as escapes. */
static inline void text_append_quoted(text_buffer *text, const char *bytes, size_t len) {
  text_append(text, "\"", 1);
  for (size_t at = 0; at < len; at++) {
    unsigned char byte = (unsigned char)bytes[at];
    if (byte == '"' || byte == '\\') {
      text_append_format(text, "\\%c", byte);
    } else if (byte < 0x20) {
      text_append_format(text, "\\u%04x", byte);
    } else {
      text_append(text, bytes + at, 1);
    }
  }
  text_append(text, "\"", 1);
}

static inline const char *json_skip_space(const char *at) { return at + strspn(at, " \t\r\n"); }

/* What follows a string that begins here, its quotes included. */
static inline const char *json_skip_string(const char *at) {
  for (at++; *at != '"'; at++) {
    if (*at == '\\') at++;
    if (*at == '\0') {
      fputs("a string without an end\n", stderr);
      exit(1);
    }
  }
  return at + 1;
}

/* What follows a value that begins here. */
static inline const char *json_skip_value(const char *at) {
  int depth = 0;
  for (;;) {
    if (*at == '"') {
      at = json_skip_string(at);
    } else if (*at == '{' || *at == '[') {
      depth++;
      at++;
    } else if (*at == '}' || *at == ']') {
      depth--;
      at++;
    } else {
      at += strcspn(at, depth > 0 ? "\"{}[]" : " \t\r\n,}]");
    }
    if (*at == '\0' && depth > 0) {
      fputs("a value without an end\n", stderr);
      exit(1);
    }
    if (depth == 0) return at;
  }
}

/* Writes a value without the blanks between its parts. */
static inline void json_append_compact(text_buffer *into, const char *value, const char *end) {
  while (value < end) {
    const char *part = value;
    if (*value == '"') {
      value = json_skip_string(value);
    } else {
      while (value < end && strchr("\" \t\r\n", *value) == NULL) value++;
    }
    text_append(into, part, (size_t)(value - part));
    value = json_skip_space(value);
  }
}

/* Writes the text anew with the value of each member of this name as a string that holds the value's own text, compact. */
static inline void json_quote_members(text_buffer *into, const char *json, const char *name) {
  size_t name_len = strlen(name);
  while (*json != '\0') {
    if (*json != '"') {
      size_t plain = strcspn(json, "\"");
      text_append(into, json, plain);
      json += plain;
      continue;
    }
    const char *end = json_skip_string(json), *colon = json_skip_space(end);
    text_append(into, json, (size_t)(end - json));
    int is_member = *colon == ':' && (size_t)(end - json) == name_len + 2 && memcmp(json + 1, name, name_len) == 0;
    json = end;
    if (is_member) {
      const char *value = json_skip_space(colon + 1);
      json = json_skip_value(value);
      text_append(into, ":", 1);
      text_buffer compact = {0};
      json_append_compact(&compact, value, json);
      text_append_quoted(into, compact.bytes, compact.len);
      free(compact.bytes);
    }
  }
}

#endif
