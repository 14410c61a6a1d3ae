package feature

// emoticon reads an ASCII emoticon at pos and returns where it ends and its
// canonical form, or 0. One form per feeling: ":-)))", "=]" and ":)" are one.
func emoticon(text string, pos int) (end int, norm string) {
	s := text[pos:]
	switch s[0] {
	case '<':
		if hasPrefix(s, "<3") && (len(s) == 2 || class[s[2]] != cDigit) {
			return pos + 2, "<3"
		}
		if hasPrefix(s, "</3") {
			return pos + 3, "</3"
		}
	case '^':
		if hasPrefix(s, "^_^") || hasPrefix(s, "^.^") || hasPrefix(s, "^-^") {
			return pos + 3, ":)"
		}
		if hasPrefix(s, "^^") {
			return pos + 2, ":)"
		}
	case '-':
		if hasPrefix(s, "-_-") || hasPrefix(s, "-.-") {
			return pos + 3, "-_-"
		}
	case '(', ')':
		// The mirrored ones "(:" and "):"; a word behind would make it "(:a list".
		i := 1
		if i < len(s) && s[i] == '-' {
			i++
		}
		if i < len(s) && (s[i] == ':' || s[i] == ';' || s[i] == '=') {
			after := i + 1
			if after == len(s) || class[s[after]] == cSpace || s[after] == '.' || s[after] == '!' {
				if s[0] == '(' {
					return pos + after, ":)"
				}
				return pos + after, ":("
			}
		}
	case ':', ';', '=':
		end, norm = western(s, pos)
		if end > 0 && pos > 0 && class[text[pos-1]] >= cDigit && class[text[end-1]] == cLetter {
			return 0, "" // "note:please", "8:D"
		}
		return end, norm
	}
	return 0, ""
}

// western reads eyes, a tear, a nose and a mouth.
func western(s string, pos int) (end int, norm string) {
	i := 1
	tear := false
	if i < len(s) && s[i] == '\'' {
		tear = true
		i++
	}
	if i+1 < len(s) && (s[i] == '-' || s[i] == '^' || (s[i] == 'o' && (s[i+1] == ')' || s[i+1] == '('))) {
		i++
	}
	if i >= len(s) {
		return 0, ""
	}
	mouth := s[i]
	j := i + 1
	for j < len(s) && s[j] == mouth {
		j++
	}
	wink := s[0] == ';'
	switch mouth {
	case ')', ']', '}', '>':
		norm = ":)"
		if wink {
			norm = ";)"
		}
		if mouth == '>' && s[0] == '=' {
			return 0, "" // an arrow
		}
	case '(', '[', '{', '<':
		norm = ":("
	case 'd', 'D', 'p', 'P', 'o', 'O', 'x', 'X', 's', 'S', '3':
		if j < len(s) && class[s[j]] >= cDigit {
			return 0, "" // the start of a word or number
		}
		switch mouth {
		case 'd', 'D':
			norm = ":d"
		case 'p', 'P':
			norm = ":p"
		case 'o', 'O':
			norm = ":o"
		case 'x', 'X':
			norm = ":*"
		case '3':
			norm = ":)"
		default:
			norm = ":/"
		}
	case '/', '\\', '|':
		if j < len(s) && s[j] == '/' {
			return 0, ""
		}
		norm = ":/"
	case '*':
		norm = ":*"
	default:
		return 0, ""
	}
	if tear {
		if norm == ":)" {
			norm = ":')"
		} else {
			norm = ":'("
		}
	}
	return pos + j, norm
}
