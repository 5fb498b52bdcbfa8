// Layout of tables.
#include "cli/table.h"

#include <algorithm>
#include <cstddef>
#include <string_view>

namespace twinlog {

namespace {

// Characters of UTF-8 text: all bytes but those that continue one. Good for what names are made of.
std::size_t width(std::string_view text) {
    return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
        return (static_cast<unsigned char>(c) & 0xc0U) != 0x80;
    }));
}

}  // namespace

std::string format_table(const std::vector<std::vector<std::string>>& rows) {
    std::vector<std::size_t> widths;
    for (const auto& row : rows) {
        widths.resize(std::max(widths.size(), row.size()));
        for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width(row[i]));
    }
    std::string text;
    for (const auto& row : rows) {
        std::size_t owed = 0;  // spaces that are due once something follows them
        for (std::size_t i = 0; i < row.size(); ++i) {
            if (!row[i].empty()) {
                text.append(owed, ' ');
                text += row[i];
                owed = 0;
            }
            owed += widths[i] - width(row[i]) + 3;
        }
        text += '\n';
    }
    return text;
}

}  // namespace twinlog
