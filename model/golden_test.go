package model

const (
	// sanityBar is the share of the sanity texts that must come out right.
	sanityBar = 0.9
	// goldenHash is the hash of TestDeterminism for the embedded weights.
	goldenHash = "0e3582481bbb090f480245e1cdbd178e543bbc9bacf48785a9923d6ea8967840"
)
