// Tables for people: columns as wide as their widest cell.
#pragma once

#include <string>
#include <vector>

namespace twinlog {

// Cells must be escaped already. Every row has as many cells as the first one, which is the head.
// Columns are three spaces apart, as Docker's; lines end without spaces, the last one with a
// newline.
std::string format_table(const std::vector<std::vector<std::string>>& rows);

}  // namespace twinlog
