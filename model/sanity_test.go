package model

// sanity are short texts of everyday kinds, written for this test. The model is
// not trained on them. Where a text is beyond a linear model it is not here: the
// card's known failures tell of those.
var sanity = []struct {
	text string
	want Label
}{
	// Plain praise and complaint.
	{"I love this phone, best purchase of the year!", Positive},
	{"Absolutely fantastic service, thank you so much", Positive},
	{"The food was delicious and the staff were friendly", Positive},
	{"What a beautiful day, feeling so happy", Positive},
	{"Great support, they solved my problem in minutes", Positive},
	{"The new update is amazing, everything is faster", Positive},
	{"Really enjoyed the concert last night", Positive},
	{"Congratulations on the launch, wonderful work!", Positive},
	{"This is the worst customer service I have ever had", Negative},
	{"I hate waiting, this is terrible", Negative},
	{"The app keeps crashing, so annoying", Negative},
	{"Horrible experience, I want a refund", Negative},
	{"The movie was boring and far too long", Negative},
	{"My order arrived broken and nobody answers", Negative},
	{"Feeling sick and sad today", Negative},
	{"Such a disappointing ending, total waste of time", Negative},
	{"The hotel room was dirty and it smelled awful", Negative},
	{"Your website is broken again. Ridiculous.", Negative},
	// Facts and questions.
	{"The meeting is on Tuesday at 10", Neutral},
	{"New store opens on Monday in Chicago", Neutral},
	{"Does anyone know when the bus leaves?", Neutral},
	{"The report has 20 pages and three tables", Neutral},
	{"He lives in Berlin and works at a bank", Neutral},
	{"Apple will announce its results on Thursday", Neutral},
	{"What time does the game start tomorrow?", Neutral},
	{"Season 3 will be released in March", Neutral},
	// Negation.
	{"not good", Negative},
	{"I do not like this at all", Negative},
	{"I don't like it", Negative},
	{"This is not a good product", Negative},
	{"The service wasn't great", Negative},
	{"It doesn't work", Negative},
	{"never again, would not recommend", Negative},
	{"I can't recommend this to anyone", Negative},
	{"no problems at all, works great", Positive},
	// Contrast.
	{"The room was small but the staff were wonderful and we loved it", Positive},
	{"It started well but the ending was terrible", Negative},
	{"Nice design, but it is slow and useless", Negative},
	{"I was skeptical at first but now I love it", Positive},
	// Emoji and emoticons.
	{"👍", Positive},
	{"😍😍😍", Positive},
	{"😡", Negative},
	{"just got home ❤️", Positive},
	{"my flight got cancelled 😭", Negative},
	{"good night everyone :)", Positive},
	{"missed the train again :(", Negative},
	// Noise: case, stretching, marks.
	{"SO GOOD!!!", Positive},
	{"this is sooooo bad", Negative},
	{"loooove it", Positive},
	{"WORST. DAY. EVER.", Negative},
	{"@support your team is awesome https://example.com #happy", Positive},
	{"@support fix your broken app!!! #fail", Negative},
	// Other languages.
	{"Me encanta este lugar, es maravilloso", Positive},
	{"Qué asco de servicio, es horrible", Negative},
	{"J'adore cette chanson, merci beaucoup", Positive},
	{"Ich bin so glücklich, danke!", Positive},
	{"Che bello, grazie mille!", Positive},
	{"Adorei o show, foi lindo demais", Positive},
	{"Makanannya enak sekali dan pelayanannya ramah", Positive},
	{"Pelayanan sangat buruk dan mengecewakan", Negative},
}
