"""What containers print in the proof of identity: everything that a log format may stumble over."""

import random

PIECE = 16384  # Docker's copier cuts lines there
MIB = 1 << 20

# Bytes that are no UTF-8, by what is wrong with them.
INVALID_UTF8 = {
    "lone continuation 80": b"\x80",
    "lone continuation bf": b"\xbf",
    "run of continuations": b"\x80\x81\x82\x83\x84",
    "overlong, 2 bytes": b"\xc0\x80 \xc0\xaf \xc1\xbf",
    "overlong, 3 bytes": b"\xe0\x80\x80 \xe0\x80\xaf \xe0\x9f\xbf",
    "overlong, 4 bytes": b"\xf0\x80\x80\x80 \xf0\x80\x80\xaf \xf0\x8f\xbf\xbf",
    "high surrogate": b"\xed\xa0\x80 \xed\xaf\xbf",
    "low surrogate": b"\xed\xb0\x80 \xed\xbf\xbf",
    "surrogate pair": b"\xed\xa0\xbd\xed\xb8\x80",
    "truncated, 1 of 2": b"\xc2",
    "truncated, 1 of 3": b"\xe2",
    "truncated, 2 of 3": b"\xe2\x82",
    "truncated, 1 of 4": b"\xf0",
    "truncated, 2 of 4": b"\xf0\x9f",
    "truncated, 3 of 4": b"\xf0\x9f\x98",
    "truncated before text": b"\xe2\x82text \xf0\x9f\x98text \xc3text",
    "truncated before another": b"\xe2\x82\xe2\x82\xac\xf0\x9f\xf0\x9f\x98\x80",
    "beyond U+10FFFF": b"\xf4\x90\x80\x80 \xf4\xbf\xbf\xbf",
    "first bytes f5 to f7": b"\xf5\x80\x80\x80 \xf6\x80\x80\x80 \xf7\xbf\xbf\xbf",
    "5 and 6 bytes": b"\xf8\x88\x80\x80\x80 \xfc\x84\x80\x80\x80\x80",
    "fe and ff": b"\xfe \xff \xfe\xff \xff\xfe",
    "Latin-1": "Grüße, naïve café".encode("latin-1"),
    "between good text": b"a\xffb\xe2\x82\xac\xffc \xff",
}

# Valid text that an encoder treats, or might treat, in a way of its own.
SPECIAL_TEXT = {
    "U+2028": "a\u2028b", "U+2029": "\u2029", "their neighbours": "\u2027\u202a",
    "<>&": "<script>&amp;</script>", "quotes and backslashes": '"a" \\ \\" \\\\ \\u0041 \'',
    "C1 controls": "".join(map(chr, range(0x80, 0xa0))), "DEL": "\x7f",
    "ends of the ranges": "\u0080\u07ff\u0800\ud7ff\ue000\uffff\U00010000\U0010ffff",
    "no characters": "\ufffe\uffff\ufdd0", "U+FFFD itself": "\ufffd", "byte order mark": "\ufeffa",
    "right to left": "\u202eabc\u202c שלום", "joined": "👨\u200d👩\u200d👧 e\u0301",
    "emoji": "😀" * 50, "tabs, bells, feeds": "\t\a\b\f\v", "spaces": "   leading and trailing   ",
}


def lines():
    """name: bytes, each ending with a newline."""
    found = {
        "every byte in one line": bytes(b for b in range(256) if b != 10),
        "each byte alone": b"\n".join(bytes([b]) for b in range(256)),
        "control bytes": bytes(b for b in range(32) if b != 10),
        "an empty line": b"",
        "a hundred empty lines": b"\n" * 99,
        "CRLF": b"one\r\ntwo\r\n\r\nthree\r",
        "lone CR": b"10%\r20%\r30%",
        "CR at a piece's end": b"x" * (PIECE - 1) + b"\r",
        "NULs": b"a\0b\0\0c\0",
        "a piece of NULs": b"\0" * PIECE,
        "colours": b"\x1b[1;31mred\x1b[0m \x1b[38;2;1;2;3mtrue\x1b[m",
        "cursor, title, link": b"\x1b[2J\x1b[10;10H\x1b]0;title\a\x1b]8;;http://x\x1b\\l\x1b]8;;\x1b\\",
        "what looks like json-file": b'{"log":"x\\n","stream":"stderr","time":"2020-01-01T00:00:00Z"}',
        "what looks like local": b"\0\0\0\x17\x0a\x06stderr\x10\x81\x80\x80\x80\x80\x80\x80\x80\x18\x1a\x03err\0\0\0\x17",
        "what looks like CRI": b"2020-01-01T00:00:00.000000000Z stderr F text",
        "the longest escapes": b"<" * PIECE,
        "quotes only": b'"' * 5000,
        "a line of 1 MiB": b"0123456789abcdef" * (MIB // 16),
        "a line of 1 MiB and one": b"x" * (MIB + 1),
        "a line of 1 MiB less one": b"y" * (MIB - 1),
        "a MiB in short lines": b"\n".join(b"line %d" % i for i in range(90_000)),
        "random bytes": random.Random(1).randbytes(100_000),
        "random bytes without newline": random.Random(2).randbytes(70_000).replace(b"\n", b"\r"),
    }
    for base in (1, 2, 3, 4):
        for delta in (-2, -1, 0, 1):
            size = base * PIECE + delta
            found[f"length {size}"] = b"x" * size
    # A character that the cut goes through, after each of its bytes.
    for character in ("é", "€", "😀", "\u2028"):
        encoded = character.encode()
        for cut in range(1, len(encoded)):
            found[f"{encoded.hex()} cut after {cut}"] = (b"x" * (PIECE - cut) + encoded) * 2
    found["wrong byte before the cut"] = b"x" * (PIECE - 1) + b"\xff\xff"
    for name, text in SPECIAL_TEXT.items():
        found[name] = text.encode("utf-8", "surrogatepass")
    for name, content in INVALID_UTF8.items():
        found[name] = content
    return {name: content + b"\n" for name, content in found.items()}


def ends():
    """What a stream may end with: name: bytes."""
    return {
        "nothing": b"",
        "a newline alone": b"\n",
        "no final newline": b"one\ntail",
        "one byte": b"x",
        "a NUL": b"line\n\0",
        "exactly one piece": b"a" * PIECE,
        "exactly two pieces": b"b" * (2 * PIECE),
        "two pieces and a rest": b"c" * (2 * PIECE + 7),
        "one less than a piece": b"d" * (PIECE - 1),
        "half a character": b"line\n\xe2\x82",
        "CR": b"line\r\nprompt> \r",
    }
