package model

// Extra names a part of an analysis that costs time of its own.
type Extra uint8

// The extras; they can be combined.
const (
	Emotions  Extra = 1 << iota // Analysis.Emotions
	Evidences                   // Analysis.Evidence, Bias and LogitDifference
	Sentences                   // Analysis.Sentences
	Aspects                     // targets found in the text, besides those given
)

// AllExtras is every extra.
const AllExtras = Emotions | Evidences | Sentences | Aspects

// Span is a part of a text, half open, in UTF-8 bytes and in UTF-16 code units.
type Span struct {
	StartByte, EndByte   int
	StartUTF16, EndUTF16 int
}

// Target is something that a text speaks about, such as "battery life".
type Target struct {
	// Text is the target's name, as the caller calls it.
	Text string
	// Span is where it stands in the text. When it is zero, the first mention of
	// Text is looked for.
	Span Span
}

// Polarity is a sentiment without the rest of a Result.
type Polarity struct {
	Label         Label
	Score         float64 // p(positive) - p(negative), in [-1, 1]
	Probabilities [3]float64
}

// TargetResult is the sentiment towards one target.
type TargetResult struct {
	Polarity
	Target string
	// Mentioned says whether Target stands in the text; without a mention the
	// sentiment is that of the whole text and Span is zero.
	Mentioned bool
	Span      Span
	// Found says that the target was not given but found in the text.
	Found bool
	// Opinions are the words that speak about the target, in order of the text.
	Opinions []Span
}

// Sentence is one sentence of a text with a sentiment of its own.
type Sentence struct {
	Span
	Polarity
}

// Analysis is a Result with the extras that were asked for.
type Analysis struct {
	Result
	// Emotions are the probabilities of EmotionNames, in that order. 0.5 is the
	// bar above which an emotion counts as present; several can be.
	Emotions []float64
	// Evidence are the spans that moved the score, in the order of the text. Their
	// weights and Bias add up to LogitDifference (within 1e-6), which is
	// ln(p(positive)/p(negative)).
	Evidence        []Evidence
	Bias            float64
	LogitDifference float64
	// Sentences cover the text in order; only white space lies between them.
	Sentences []Sentence
	// Targets are first those given, in their order, then those found.
	Targets []TargetResult
}

// EmotionNames are the names of Analysis.Emotions, those of GoEmotions
// (Demszky et al., 2020). The caller may change the slice.
func EmotionNames() []string { return append([]string(nil), emotionNames[:]...) }

var emotionNames = [28]string{
	"admiration", "amusement", "anger", "annoyance", "approval", "caring", "confusion", "curiosity", "desire",
	"disappointment", "disapproval", "disgust", "embarrassment", "excitement", "fear", "gratitude", "grief", "joy",
	"love", "nervousness", "optimism", "pride", "realization", "relief", "remorse", "sadness", "surprise", "neutral",
}
