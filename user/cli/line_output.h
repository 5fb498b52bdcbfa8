// The forms in which `twinlog logs` gives lines out.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "cli/logs_printer.h"
#include "cli/print_buffer.h"
#include "read/line.h"
#include "read/log_file.h"

namespace twinlog {

// One of the logs that are printed.
struct PrintedLog {
    std::string id;
    std::string name;  // hostile
    LineOwner owner;
};

// Nothing is written but by flush().
class LineOutput {
 public:
    virtual ~LineOutput() = default;
    virtual void print(const PrintedLog& log, const Line& line) = 0;
    virtual void print(const PrintedLog& log, const Damage& damage) = 0;
    // Nothing follows for now: who is told something at the end is told as well.
    virtual void pause() {}
    // Nothing follows.
    virtual void finish() {}
    [[nodiscard]] virtual const PrintBuffer& output() const = 0;
    virtual Status flush() = 0;

    LineOutput(const LineOutput&) = delete;
    LineOutput& operator=(const LineOutput&) = delete;

 protected:
    LineOutput() = default;
};

enum class OutputForm : std::uint8_t {
    short_,  // as docker logs
    json,    // an object a line, on standard output
    raw,     // the bytes of the streams and nothing else
};

// options are for the short form; their style is for json, too.
std::unique_ptr<LineOutput> make_line_output(OutputForm form, const PrintOptions& options);

}  // namespace twinlog
