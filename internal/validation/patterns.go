package validation

// projectSegment is the project of a resource name in the contracts' patterns.
const (
	projectID      = "[a-z]([a-z0-9-]{0,61}[a-z0-9])?"
	projectSegment = "(-|" + projectID + ")"
	projectRule    = "projects/{project}, where {project} has 1 to 63 of a-z, 0-9 and -, begins with a letter and does not end with -"
	projectRemedy  = "take the name from ListProjects; projects/- is the credential's only project"
	eventSegment   = "[A-Za-z0-9][A-Za-z0-9._~-]{0,127}"
)

type text struct{ rule, remedy string }

// patterns says the contracts' patterns in words. A test fails when one is
// missing.
var patterns = map[string]text{
	"^" + projectID + "$": {
		"must have 1 to 63 of a-z, 0-9 and -, begin with a letter and not end with -", "choose such an id",
	},
	"^projects/" + projectSegment + "$": {"must be " + projectRule, projectRemedy},
	"^projects/" + projectID + "$":      {"must be " + projectRule, "take the name from ListProjects; projects/- is not taken here"},
	"^projects/" + projectSegment + "/apiKeys/[a-z0-9]{1,32}$": {
		"must be projects/{project}/apiKeys/{key}", "take the name from ListApiKeys",
	},
	"^projects/" + projectSegment + "/ingestStatus$": {"must be projects/{project}/ingestStatus", projectRemedy},
	"^projects/" + projectSegment + "/balance$":      {"must be projects/{project}/balance", projectRemedy},
	"^projects/" + projectSegment + "/events/" + eventSegment + "$": {
		"must be projects/{project}/events/{event}", "take the name from ListEvents",
	},
	"^projects/" + projectSegment + "/events/" + eventSegment + "/trail$": {
		"must be projects/{project}/events/{event}/trail", "append /trail to the event's name",
	},
	"^[A-Za-z0-9][A-Za-z0-9._~-]*$": {
		"must consist of letters, digits and . _ ~ - and begin with a letter or a digit",
		"use such an id, or leave it out and the server gives one",
	},
	"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$": {
		`must be a BCP 47 tag such as "en" or "pt-BR"`, "use such a tag, or leave it out",
	},
	"^models/[a-z0-9][a-z0-9.-]{0,63}$": {"must be models/{model}", "take the name from ListModels"},
}

func patternWords(pattern string) (rule, remedy string) {
	if t, ok := patterns[pattern]; ok {
		return t.rule, t.remedy
	}
	return "must match the pattern " + pattern, "change it to fit"
}
