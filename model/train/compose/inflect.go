package compose

import (
	"regexp"
	"strings"
)

// irregular verbs: past and participle.
var irregular = map[string][2]string{
	"be": {"was", "been"}, "beat": {"beat", "beaten"}, "bite": {"bit", "bitten"}, "blow": {"blew", "blown"}, "break": {"broke", "broken"},
	"bring": {"brought", "brought"}, "buy": {"bought", "bought"}, "catch": {"caught", "caught"}, "come": {"came", "come"},
	"cost": {"cost", "cost"}, "cut": {"cut", "cut"}, "do": {"did", "done"}, "drive": {"drove", "driven"},
	"eat": {"ate", "eaten"}, "fall": {"fell", "fallen"}, "feel": {"felt", "felt"}, "fight": {"fought", "fought"},
	"fit": {"fit", "fit"}, "freeze": {"froze", "frozen"}, "get": {"got", "gotten"}, "give": {"gave", "given"},
	"go": {"went", "gone"}, "grow": {"grew", "grown"}, "hang": {"hung", "hung"}, "have": {"had", "had"},
	"hit": {"hit", "hit"}, "hold": {"held", "held"}, "keep": {"kept", "kept"}, "know": {"knew", "known"},
	"leave": {"left", "left"}, "let": {"let", "let"}, "lie": {"lied", "lied"}, "lose": {"lost", "lost"},
	"make": {"made", "made"}, "mislead": {"misled", "misled"}, "pay": {"paid", "paid"}, "put": {"put", "put"},
	"rip": {"ripped", "ripped"}, "run": {"ran", "run"}, "say": {"said", "said"}, "sell": {"sold", "sold"},
	"send": {"sent", "sent"}, "shrink": {"shrank", "shrunk"}, "speak": {"spoke", "spoken"}, "speed": {"sped", "sped"},
	"stand": {"stood", "stood"}, "steal": {"stole", "stolen"}, "stick": {"stuck", "stuck"}, "take": {"took", "taken"},
	"talk": {"talked", "talked"}, "teach": {"taught", "taught"}, "tear": {"tore", "torn"}, "tell": {"told", "told"},
	"think": {"thought", "thought"}, "wear": {"wore", "worn"}, "win": {"won", "won"}, "write": {"wrote", "written"},
	"hurt": {"hurt", "hurt"}, "upset": {"upset", "upset"},
	"draw": {"drew", "drawn"}, "fly": {"flew", "flown"}, "rise": {"rose", "risen"}, "see": {"saw", "seen"}, "set": {"set", "set"},
	"throw": {"threw", "thrown"}, "wake": {"woke", "woken"}, "shine": {"shone", "shone"}, "sink": {"sank", "sunk"}, "spill": {"spilled", "spilled"},
}

// doubled verbs repeat their last letter before -ed and -ing.
var doubled = map[string]bool{
	"drag": true, "skip": true, "stop": true, "drop": true, "lag": true, "rip": true,
	"trip": true, "put": true, "get": true, "let": true, "run": true, "hit": true, "cut": true, "fit": true, "win": true,
	"log": true, "rob": true, "rub": true, "set": true, "upset": true, "jam": true, "cancel": true,
}

// inflect gives the form of a verb phrase: s present (of one), d past, n participle,
// g -ing, or the base form. The verb is the first word.
func inflect(phrase, form string) string {
	verb, rest, _ := strings.Cut(phrase, " ")
	if rest != "" {
		rest = " " + rest
	}
	stem, last := verb, verb[len(verb)-1]
	consonantY := last == 'y' && len(verb) > 1 && !strings.ContainsRune("aeou", rune(verb[len(verb)-2]))
	switch form {
	case "s":
		switch {
		case verb == "be":
			verb = "is"
		case verb == "have":
			verb = "has"
		case consonantY:
			verb = verb[:len(verb)-1] + "ies"
		case last == 's' || last == 'x' || last == 'o' || strings.HasSuffix(verb, "sh") || strings.HasSuffix(verb, "ch"):
			verb += "es"
		default:
			verb += "s"
		}
	case "d", "n":
		if forms, ok := irregular[verb]; ok {
			verb = forms[0]
			if form == "n" {
				verb = forms[1]
			}
			break
		}
		if doubled[verb] {
			stem += string(last)
		}
		switch {
		case consonantY:
			verb = verb[:len(verb)-1] + "ied"
		case last == 'e':
			verb += "d"
		default:
			verb = stem + "ed"
		}
	case "g":
		switch {
		case verb == "lie", verb == "die":
			verb = verb[:1] + "ying"
		case verb == "be":
			verb = "being"
		case last == 'e' && !strings.HasSuffix(verb, "ee"):
			verb = verb[:len(verb)-1] + "ing"
		case doubled[verb]:
			verb += string(last) + "ing"
		default:
			verb += "ing"
		}
	}
	return verb + rest
}

var comparatives = map[string]string{
	"good": "better", "well": "better", "bad": "worse", "badly": "worse", "poorly": "worse",
	"poor": "poorer", "easy": "easier", "hard": "harder", "fast": "faster", "slow": "slower", "quick": "quicker", "clean": "cleaner",
	"dirty": "dirtier", "noisy": "noisier", "quiet": "quieter", "nice": "nicer", "rude": "ruder", "kind": "kinder", "cheap": "cheaper",
	"tasty": "tastier", "fresh": "fresher", "dry": "drier", "dull": "duller", "weak": "weaker", "smooth": "smoother", "soft": "softer",
	"friendly": "friendlier", "sturdy": "sturdier", "flimsy": "flimsier", "clunky": "clunkier", "fair": "fairer", "clear": "clearer",
	"late": "later", "lazy": "lazier", "sloppy": "sloppier", "shabby": "shabbier", "smelly": "smellier", "greasy": "greasier",
	"cosy": "cosier", "lively": "livelier", "catchy": "catchier", "buggy": "buggier", "harsh": "harsher", "rough": "rougher",
	"sticky": "stickier", "bumpy": "bumpier", "tough": "tougher", "bland": "blander", "itchy": "itchier", "lousy": "lousier", "gentle": "gentler",
	"soggy": "soggier", "juicy": "juicier", "ugly": "uglier", "funny": "funnier", "rusty": "rustier", "mean": "meaner", "moody": "moodier",
	"grumpy": "grumpier", "bossy": "bossier", "greedy": "greedier", "leaky": "leakier", "shaky": "shakier", "runny": "runnier",
	"hungry": "hungrier", "lovely": "lovelier", "stale": "staler", "damp": "damper", "whiny": "whinier", "clumpy": "clumpier",
	"grubby": "grubbier", "clever": "cleverer", "comfy": "comfier", "witty": "wittier", "laggy": "laggier", "wordy": "wordier",
}

func comparative(adjective string) string {
	first, rest, _ := strings.Cut(adjective, " ")
	if c, ok := comparatives[first]; ok {
		return strings.TrimSuffix(c+" "+rest, " ")
	}
	return "more " + adjective
}

// singular of a fault, which is a regular plural.
func singular(plural string) string {
	switch {
	case plural == "lies":
		return "lie"
	case strings.HasSuffix(plural, "noses"):
		return strings.TrimSuffix(plural, "es") + "is"
	case strings.HasSuffix(plural, "ies"):
		return strings.TrimSuffix(plural, "ies") + "y"
	case strings.HasSuffix(plural, "shes"), strings.HasSuffix(plural, "ches"), strings.HasSuffix(plural, "sses"):
		return strings.TrimSuffix(plural, "es")
	}
	return strings.TrimSuffix(plural, "s")
}

var article = regexp.MustCompile(`(^|[^\pL\pN'’])([Aa])n? ([\pL\pN#"'“]+)`)

// articles sets "a" or "an" by the sound of the next word.
func articles(s string) string {
	return article.ReplaceAllStringFunc(s, func(m string) string {
		p := article.FindStringSubmatch(m)
		word := strings.TrimLeft(p[3], `#"'“`)
		if vowelSound(word) {
			return p[1] + p[2] + "n " + p[3]
		}
		return p[1] + p[2] + " " + p[3]
	})
}

func vowelSound(word string) bool {
	for _, p := range []string{"MRI", "SMS", "RPG", "HDMI", "SSD", "LED", "X-ray", "8", "11", "18"} {
		if strings.HasPrefix(word, p) {
			return true
		}
	}
	w := strings.ToLower(word)
	for _, p := range []string{"one", "once", "use", "usual", "uni", "eu", "ufo"} {
		if strings.HasPrefix(w, p) {
			return p == "uni" && (strings.HasPrefix(w, "unin") || strings.HasPrefix(w, "unim"))
		}
	}
	for _, p := range []string{"hour", "hono", "hones", "heir"} {
		if strings.HasPrefix(w, p) {
			return true
		}
	}
	return w != "" && strings.ContainsRune("aeiou", rune(w[0]))
}

// elongate draws the last vowel of the first word out, or its final y, by k letters.
func elongate(s string, k int) string {
	end := strings.IndexByte(s, ' ')
	if end < 0 {
		end = len(s)
	}
	at := -1
	for i := range end {
		if strings.IndexByte("aeiouAEIOU", s[i]) >= 0 && (i+1 < end || end <= 3 || at < 0) || i+1 == end && s[i] == 'y' {
			if i+1 == end && s[i] == 'e' && at >= 0 {
				continue // mute
			}
			at = i
		}
	}
	if at < 0 {
		return s
	}
	return s[:at+1] + strings.Repeat(s[at:at+1], k) + s[at+1:]
}

// hashtag joins the words of s.
func hashtag(s string, camel bool) string {
	var b strings.Builder
	b.WriteByte('#')
	for _, w := range strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == '-' }) {
		w = strings.NewReplacer("'", "", "’", "").Replace(w)
		if camel && w != "" {
			w = strings.ToUpper(w[:1]) + w[1:]
		}
		b.WriteString(w)
	}
	return b.String()
}
