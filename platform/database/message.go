package database

import (
	"context"
	"strings"
	"time"
)

// Message is one message that was sent and the first of its answer: a round
// trip, with the server's work in it.
type Message struct {
	// Start is when it was sent.
	Start time.Time
	// Duration is how long the answer took to begin; of a statement that returns
	// no rows, to end.
	Duration time.Duration
	// Err is why it failed; nil for a success.
	Err error

	query string
}

// Observer is told of every message, with the context that it was sent with. It
// runs in between of a caller and its answer, so it has to be quick.
type Observer func(ctx context.Context, m Message)

// Operation is the first word of the statement in lower case, such as "select",
// "insert", "begin" and "commit"; "other" for what does not begin with a word.
func (m Message) Operation() string {
	words := words{sql: m.query}
	if word := words.next(); word != "" {
		return word
	}
	return "other"
}

// Text is the statement as it was written, with a question mark for every literal
// and without comments: arguments are literals by the time a statement is sent,
// and they are nobody's business in a log.
func (m Message) Text() string {
	var text strings.Builder
	walk := words{sql: m.query}
	literal := -1 // where one has just ended
	for walk.pos < len(walk.sql) {
		start, c := walk.pos, walk.sql[walk.pos]
		isComment := walk.at("--") || walk.at("/*")
		walk.skip()
		token := walk.sql[start:walk.pos]
		switch {
		case isComment:
			text.WriteByte(' ')
		case c == '\'' && start == literal: // the other half of one with a doubled quote
			literal = walk.pos
		case c == '\'', c >= '0' && c <= '9', c == '$' && len(token) > 1, c != '"' && strings.Contains(token, "'"):
			text.WriteByte('?')
			literal = walk.pos
		default:
			text.WriteString(token)
		}
	}
	return strings.Join(strings.Fields(text.String()), " ")
}
