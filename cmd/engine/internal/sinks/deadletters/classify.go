package deadletters

import (
	"errors"
	"slices"
	"time"

	"ddpm/engine/internal/contract"
	"ddpm/engine/internal/sink"
	"ddpm/engine/internal/sinks/producer"
)

// Classes say in one word why letters have to wait, beside those of the producer. They are labels of the metric
// dead_letter_waiting.
const (
	classTooLarge = contract.LetterTooLarge
	classRefused  = contract.LetterRefused
	classBreaker  = contract.LetterBreaker
)

var classes = append(slices.Clone(producer.Classes), classTooLarge, classRefused, classBreaker)

const (
	firstPause   = 500 * time.Millisecond
	longestPause = 10 * time.Second
)

// obstacle is why letters wait, with a class of its own choice.
type obstacle struct {
	class string
	text  string
}

func (o *obstacle) Error() string { return o.text }

// Classify says what letters wait for. None is ever refused: there is no place behind the dead letters.
func (o *output) Classify(err error) sink.Verdict {
	var own *obstacle
	if errors.As(err, &own) {
		return sink.Verdict{Kind: sink.Person, Class: own.class, Hold: own.class == classBreaker}
	}
	return producer.Classify(err)
}

// classOf says in which way the topic does not take a letter.
func classOf(refused error) string {
	if producer.TooLarge(refused) {
		return classTooLarge
	}
	return classRefused
}
