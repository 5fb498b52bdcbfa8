// Entries as tests of lines make them: whole lines and pieces of cut ones.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "format/entry.h"

constexpr std::int64_t noon = 1'795'521'600'000'000'000;  // 2026-11-24T12:00:00Z
const std::string id_a(64, 'a');
const std::string id_b(64, 'b');

inline twinlog::Entry whole(std::string_view line,
                            twinlog::Source source = twinlog::Source::stdout_) {
    twinlog::Entry entry;
    entry.source = source;
    entry.time_ns = noon;
    entry.line = line;
    return entry;
}

inline twinlog::Entry piece(std::string_view line, std::string_view id, int ordinal, bool last,
                            twinlog::Source source = twinlog::Source::stdout_) {
    twinlog::Entry entry = whole(line, source);
    entry.partial = twinlog::Partial{id, ordinal, last};
    return entry;
}
