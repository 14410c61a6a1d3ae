// Package model scores the sentiment of texts: negative, neutral or positive,
// with probabilities, the language of the text, and the spans that moved the
// score.
//
// # What it is
//
// For English the sum of two halves. The wide one is linear over hashed features:
// n-grams of one to three words, word pairs with a gap, words under a negation or
// behind a "but", and runs of two to five letters inside words. The deep one is a
// gated convolution over word vectors, which sees order and likeness of words. The
// other supported languages share a linear table. A small identifier, by script and
// by letter n-grams, chooses between them. MODEL_CARD.md tells what it was trained
// on and how well it does.
//
// Score and ScoreBatch give the polarity alone. Analyze adds what is asked for:
// evidence, sentences, emotions, and the sentiment towards targets.
//
// # Guarantees
//
//   - Pure: no I/O, no clock, no randomness. The weights are part of the program.
//   - The same text, hints and version give the same bits on any machine, with and
//     without SIMD: sums are integers or have a fixed order, and no step leaves
//     anything to fuse. Letter
//     classes come from the Unicode tables of the Go release, so a new release may
//     read newly assigned letters differently.
//   - Any bytes are a valid text: invalid UTF-8 is passed over, never a panic.
//     Probabilities are finite and sum to 1 within 1e-9.
//   - Time grows with the length of the text, and the whole text is scored.
//   - Score and ScoreBatch allocate nothing in steady state and take no lock.
//
// # Bounds
//
// The deep half reads blocks of 63 tokens; a longer text has the mean of its blocks.
// The language is told from the first 63 tokens. A word gives letter n-grams for
// its first 24 letters, and is split after 48. A text in a language that was not
// trained keeps LanguageSupported false, and its probabilities are drawn
// together; treat them as a guess.
package model
