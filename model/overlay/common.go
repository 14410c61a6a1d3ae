package overlay

// common are words that stand in texts of any opinion. Tune never learns one of
// them alone, nor two in a row: in a handful of relabels some always happen to
// agree, and being everywhere they would do harm everywhere. As the tokenizer
// gives them.
var common = func() map[uint64]bool {
	set := map[uint64]bool{}
	for _, list := range [...]string{
		// English
		`a about after again all also am an and any are as at be because been before being but by can could
		 day did do does doing down each even ever every few first for from get gets getting go goes going gone
		 got had has have having he her here hers him his how i if in into is it its just know last let like
		 look make makes man many may me more most much my n't new next no nor not now of off ok on one only or
		 other our out over own people really right said same say says see she should so some still such take
		 than that the their them then there these they thing things think this those though time to today too
		 two u up us use used very via want was way we well were what when where which while who why will with
		 wo would year years yes yet you your 's 'm 'd 're 've 'll 't`,
		// German
		`aber alle als am an auch auf aus bei bin bis da das dass dem den der des die dir doch du ein eine
		 einem einen einer er es für haben hat hier ich ihr im in ist ja kann kein keine man mein mich mir mit
		 nach nicht noch nur oder schon sein sich sie sind so um und uns vom von war was wenn wer wie wir wird
		 zu zum zur`,
		// French
		`au aux avec c'est ce cette comme dans de des du elle en est et être il ils j'ai je la le les leur lui
		 ma mais me mes moi mon ne nous on ont ou où par pas plus pour qu'il qu que qui sa se ses si son sont
		 sur ta te tes toi ton tout très tu un une vous y`,
		// Spanish and Portuguese
		`al algo ao aos até com como con cuando da das de del desde do dos e el ela ele ella ellos em en era es
		 esa ese eso essa esse esta está este esto eu fue foi ha hay isso já la las le les lo los mais más mas
		 me meu mi mis minha mucho muito muy na não nas ni no nos nos num o os ou para pelo pero por porque
		 pra qué que quem quién se sem ser si sí sin só son su sua sus também también te tem tu um uma un una
		 vai você vou y ya yo`,
		// Italian
		`ai al alla anche che chi ci come con cosa da dal dei del della delle di e è fa gli ha hai ho i il in io
		 l la le lei lo loro lui ma mi mia mio ne nei nel nella noi non o per però perché più poi quando
		 questa questo se sei si sono su sul sulla te ti tra tu un una`,
		// Indonesian and Javanese
		`ada adalah aja aku akan apa atau bisa buat dan dari dengan di dia ini itu iya jadi juga kalau kamu kan
		 karena ke kita lagi lah mau mereka nya orang pada saja sama saya sudah tak tapi tidak untuk udah yang
		 ing iki kanggo karo kuwi lan ora sing`,
		// Arabic
		`في من على إلى الى عن ما لا و يا هذا هذه ان أن إن انا أنا انت أنت هو هي مع كل بس كان التي الذي او أو لم لن قد`,
	} {
		for _, h := range hashes(list) {
			set[h] = true
		}
	}
	return set
}()
