// What of a hostile text reaches a terminal.
#include "base/escape.h"

#include <catch2/catch.hpp>
#include <string>
#include <utility>
#include <vector>

using twinlog::append_visible;
using twinlog::escape_for_terminal;
using twinlog::json_for_terminal;
using twinlog::unfinished_character;

TEST_CASE("printable text stays as it is", "[escape]") {
    for (const std::string text :
         {"", "web-1", "key=value, \"quoted\"", "größe €", "日本語", "😀"}) {
        CHECK(escape_for_terminal(text) == text);
    }
}

TEST_CASE("what a terminal could act on is made visible", "[escape]") {
    const std::vector<std::pair<std::string, std::string>> cases = {
        {"\x1b[2J", "\\x1b[2J"},
        {"a\nb\r\t", "a\\nb\\r\\t"},
        {std::string("a\0b", 3), "a\\x00b"},
        {"\x7f", "\\x7f"},
        {"back\\slash", "back\\\\slash"},
        {"\u009b31m", "\\u009b31m"},           // C1: CSI in one character
        {"\u202egpj.exe", "\\u202egpj.exe"},   // right-to-left override
        {"\u2066x\u2069", "\\u2066x\\u2069"},  // isolates
        {"\u200b\ufeff", "\\u200b\\ufeff"},    // zero width
        {"\U000e0041", "\\U000e0041"},         // tag
    };
    for (const auto& [raw, escaped] : cases) CHECK(escape_for_terminal(raw) == escaped);
}

TEST_CASE("each byte of invalid UTF-8 is shown", "[escape]") {
    const std::vector<std::pair<std::string, std::string>> cases = {
        {"\xff", "\\xff"},
        {"a\x9b"
         "b",
         "a\\x9bb"},                 // C1 as a lone byte
        {"\xc0\x8a", "\\xc0\\x8a"},  // overlong newline
        {"\xe0\x80\x8a", "\\xe0\\x80\\x8a"},
        {"\xed\xa0\x80", "\\xed\\xa0\\x80"},  // surrogate
        {"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"},
        {"\xe2\x82", "\\xe2\\x82"},  // cut off
        {"\xe2\x82x", "\\xe2\\x82x"},
    };
    for (const auto& [raw, escaped] : cases) CHECK(escape_for_terminal(raw) == escaped);
}

TEST_CASE("text to be read keeps its tabs and backslashes", "[escape]") {
    std::string text = "> ";
    append_visible("a\tb\\c\x1b\n\x7f\xc2\x9b", text);
    CHECK(text == "> a\tb\\c\\x1b\\n\\x7f\\u009b");
}

TEST_CASE("the beginning of a character at the end is found", "[escape]") {
    CHECK(unfinished_character("") == 0);
    CHECK(unfinished_character("abc") == 0);
    CHECK(unfinished_character("caf\xc3") == 1);
    CHECK(unfinished_character("caf\xc3\xa9") == 0);
    CHECK(unfinished_character("\xe2\x82") == 2);
    CHECK(unfinished_character("\xe2\x82\xac") == 0);
    CHECK(unfinished_character("\xf0\x9f\x98") == 3);
    CHECK(unfinished_character("\xf0\x9f\x98\x80") == 0);
    CHECK(unfinished_character("\x80\x80\x80\x80") == 0);
}

TEST_CASE("JSON stays JSON on a terminal", "[escape]") {
    const std::string plain = R"({"line":"a\u001b\t \" café €"})";
    CHECK(json_for_terminal(plain) == plain);
    CHECK(json_for_terminal("\"\x7f\xc2\x9b\xe2\x80\xae\xf3\xa0\x80\x81\"") ==
          R"("\u007f\u009b\u202e\udb40\udc01")");
}
