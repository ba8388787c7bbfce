package database

import (
	"errors"
	"fmt"
	"strings"
)

// ErrRefused is a statement that could outlive its message or leave its
// tenant's schema, or whose reply the driver cannot read. It was not sent.
var ErrRefused = errors.New("database: statement refused")

// checkStatement refuses SQL text that would end the transaction it runs in,
// change the session behind it or the path in front of it. It splits the text
// as the server does (quotes, dollar quotes, nested comments), so arguments
// that Bun formatted into the text are never mistaken for SQL. inTx allows the
// savepoint statements of bun.Tx. confined also refuses what would run SQL text
// that is not seen here, or change a setting by another way than SET.
//
// It guards against mistakes, not against a hostile author: what a function or
// a DO block does is not visible here.
func checkStatement(sql string, inTx, confined bool) error {
	words := words{sql: sql}
	for words.nextStatement() {
		first := words.next()
		switch first {
		case "":
			continue
		case "set":
			if err := checkSet(&words); err != nil {
				return err
			}
		case "create":
			word := words.next()
			for word == "or" || word == "replace" {
				word = words.next()
			}
			switch word {
			case "temp", "temporary", "local", "global":
				return refuse("a temporary table stays on the connection")
			}
		case "savepoint", "release":
			if !inTx {
				return refuse("%s outside of a transaction", strings.ToUpper(first))
			}
		case "rollback":
			if !inTx || words.next() != "to" {
				return refuse("ROLLBACK belongs to the transaction's owner")
			}
		case "begin", "start", "commit", "end", "abort":
			return refuse("%s belongs to the transaction's owner", strings.ToUpper(first))
		case "reset", "discard", "prepare", "execute", "deallocate", "declare", "load":
			return refuse("%s works on the session, which other tenants share", strings.ToUpper(first))
		case "do":
			if confined {
				return refuse("what DO does cannot be seen, and could leave the tenant's schema")
			}
		case "listen", "unlisten", "copy":
			return refuse("%s needs a connection of its own", strings.ToUpper(first))
		}
	}
	switch {
	case words.found.setConfig:
		return refuse("set_config can change the path: use SET LOCAL")
	case words.found.lasting != "":
		return refuse("%s stays on the connection", words.found.lasting)
	case confined && words.found.hidden != "":
		return refuse("%s could leave the tenant's schema unseen", words.found.hidden)
	}
	return nil
}

// checkSet allows what ends with the transaction and leaves path, rights and
// the meaning of string literals alone.
func checkSet(words *words) error {
	switch words.next() {
	case "constraints":
		return nil
	case "local":
	default:
		return refuse("SET works on the session, which other tenants share: use SET LOCAL")
	}
	switch name := words.next(); name {
	case "search_path", "schema", "role", "session", "session_authorization":
		return refuse("SET LOCAL %s would leave the tenant's schema", name)
	case "standard_conforming_strings", "client_encoding", "names":
		return refuse("SET LOCAL %s would change how arguments are read", name)
	case "tenon":
		return refuse("SET LOCAL of who makes a change is the driver's")
	case "":
		return refuse("SET LOCAL of a setting that is not a plain name")
	}
	return nil
}

func refuse(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrRefused, fmt.Sprintf(format, args...))
}

// words walks the words of SQL text statement by statement and steps over
// everything in which a word is not SQL: literals and comments.
type words struct {
	sql     string
	pos     int
	started bool
	found   findings
	last    [2]string // plain words, the nearest first
}

// findings are names that matter wherever they stand.
type findings struct {
	setConfig bool
	lasting   string // what is still there for the connection's next user; "" for nothing
	hidden    string // what runs SQL text, sets by an UPDATE, or hides its own name; "" for none
}

// hiding are functions of PostgreSQL that run SQL text, and the view by which an
// UPDATE sets what SET does.
var hiding = map[string]bool{
	"pg_settings": true, "query_to_xml": true, "query_to_xmlschema": true, "query_to_xml_and_xmlschema": true,
	"ts_stat": true, "ts_rewrite": true,
}

// lasting are functions that take a lock for the session.
var lasting = map[string]bool{
	"pg_advisory_lock": true, "pg_advisory_lock_shared": true, "pg_try_advisory_lock": true, "pg_try_advisory_lock_shared": true,
}

// follow looks at a word and the two before it: SELECT … INTO TEMP makes a table, as
// INSERT INTO does not.
func (w *words) follow(word string) {
	switch word {
	case "temp", "temporary", "local", "global":
		if w.last[0] == "into" && w.last[1] != "insert" && w.last[1] != "merge" {
			w.found.lasting = "a temporary table"
		}
	}
	w.last = [2]string{word, w.last[0]}
}

func (w *words) note(name string) {
	if lasting[name] || (name == "pg_temp" || strings.HasPrefix(name, "pg_temp_")) && w.at(".") { // a function's own path names it too
		w.found.lasting = name
	}
	if name == "set_config" {
		w.found.setConfig = true
	}
	if hiding[name] {
		w.found.hidden = name
	}
}

// nextStatement moves behind the next top-level semicolon, if there is one.
func (w *words) nextStatement() bool {
	if !w.started {
		w.started = true
		return true
	}
	for w.pos < len(w.sql) {
		if w.sql[w.pos] == ';' {
			w.pos++
			return true
		}
		w.skip()
	}
	return false
}

// next returns the statement's next token in lower case if it is a plain word,
// "" if it is anything else or the statement is over.
func (w *words) next() string {
	for w.pos < len(w.sql) && w.sql[w.pos] != ';' {
		c := w.sql[w.pos]
		switch {
		case isSpace(c) || w.at("--") || w.at("/*"):
			w.skip()
			continue
		case !isWordStart(c):
			return ""
		}
		start := w.pos
		w.skip()
		// E'…', U&"…" and their like are one token and no plain word.
		word := w.sql[start:w.pos]
		if strings.ContainsAny(word, `'"&`) || w.at("&") {
			return ""
		}
		return strings.ToLower(word)
	}
	return ""
}

func (w *words) at(prefix string) bool { return strings.HasPrefix(w.sql[w.pos:], prefix) }

// skip steps over one token; it always moves.
func (w *words) skip() {
	switch c := w.sql[w.pos]; {
	case c == '\'':
		w.skipQuoted('\'', false)
	case c == '"':
		start := w.pos
		w.skipQuoted('"', false)
		w.note(strings.Trim(w.sql[start:w.pos], `"`))
	case c == '$':
		w.skipDollar()
	case w.at("--"):
		if end := strings.IndexAny(w.sql[w.pos:], "\r\n"); end >= 0 {
			w.pos += end + 1
		} else {
			w.pos = len(w.sql)
		}
	case w.at("/*"):
		w.skipComment()
	case isWordStart(c):
		w.skipWord()
	case c >= '0' && c <= '9':
		// A number takes the word behind it along, as 1e5 or a parameter's.
		for w.pos < len(w.sql) && isWordPart(w.sql[w.pos]) {
			w.pos++
		}
	default:
		w.pos++
	}
}

func (w *words) skipWord() {
	start := w.pos
	for w.pos < len(w.sql) && isWordPart(w.sql[w.pos]) {
		w.pos++
	}
	word, c := w.sql[start:w.pos], w.sql[start]
	switch {
	case len(word) == 1 && w.at("'"):
		escapes := word == "e" || word == "E"
		w.skipQuoted('\'', escapes)
		for escapes && w.goesOn() {
			w.skipQuoted('\'', true)
		}
	case len(word) == 1 && (c == 'u' || c == 'U') && w.at(`&"`):
		w.found.hidden = `a name written as U&"…"`
	default:
		word = strings.ToLower(word)
		w.note(word)
		w.follow(word)
	}
}

// skipQuoted steps over a literal or a quoted identifier. A doubled quote ends
// one and starts the next, which comes to the same.
func (w *words) skipQuoted(quote byte, escapes bool) {
	for w.pos++; w.pos < len(w.sql); w.pos++ {
		switch c := w.sql[w.pos]; {
		case c == '\\' && escapes:
			w.pos++
		case c == quote && escapes && strings.HasPrefix(w.sql[w.pos+1:], string(quote)):
			w.pos++
		case c == quote:
			w.pos++
			return
		}
	}
	w.pos = len(w.sql)
}

// goesOn moves to the quote with which a literal goes on behind a newline, by the rules
// that it began with, if it does.
func (w *words) goesOn() bool {
	ahead := words{sql: w.sql, pos: w.pos}
	for ahead.pos < len(ahead.sql) && (isSpace(ahead.sql[ahead.pos]) || ahead.at("--")) {
		ahead.skip()
	}
	if !strings.ContainsAny(w.sql[w.pos:ahead.pos], "\r\n") || !ahead.at("'") {
		return false
	}
	w.pos = ahead.pos
	return true
}

// skipDollar steps over $tag$…$tag$, or over the dollar alone.
func (w *words) skipDollar() {
	end := w.pos + 1
	for end < len(w.sql) && isWordPart(w.sql[end]) && w.sql[end] != '$' {
		end++
	}
	tagged := end < len(w.sql) && w.sql[end] == '$' && (end == w.pos+1 || isWordStart(w.sql[w.pos+1]))
	if !tagged {
		w.pos++
		return
	}
	tag := w.sql[w.pos : end+1]
	body := w.sql[end+1:]
	if length := strings.Index(body, tag); length >= 0 {
		w.pos = end + 1 + length + len(tag)
	} else {
		w.pos = len(w.sql)
	}
}

func (w *words) skipComment() {
	depth := 0
	for w.pos < len(w.sql) {
		switch {
		case w.at("/*"):
			depth++
			w.pos += 2
		case w.at("*/"):
			depth--
			w.pos += 2
			if depth == 0 {
				return
			}
		default:
			w.pos++
		}
	}
}

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

func isWordStart(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c >= 0x80
}

func isWordPart(c byte) bool { return isWordStart(c) || c >= '0' && c <= '9' || c == '$' }
