package feature

import "strings"

// doubled are the words that people draw out at a letter which they have twice.
var doubled = func() map[uint64]struct{} {
	m := map[uint64]struct{}{}
	for _, w := range strings.Fields(doubledWords) {
		m[hashRunes([]rune(w))] = struct{}{}
	}
	return m
}()

const doubledWords = `
all call called fall falling small ball hall wall tell well hell hello yell yelling smell smells sell still kill killer killing
ill bill chill chilling will thrill thrilled thrilling fill full pull pulled dull roll really totally finally literally especially
hopefully actually usually basically beautifully awfully brilliant excellent intelligent hilarious terrible horribly allow follow
yellow fellow silly jelly belly bullshit collapse
good goods look looks looked looking book books cook cool cooler coolest food foods foot mood moody wood room boom bloom soon noon moon
spoon too tool school fool foolish stood understood zoo boo woo woohoo whoo hooray shoot choose loose smooth smoothly proof root
bored kangaroo cartoon afternoon goodnight goodbye goodness spooky goofy gloomy doom doomed poo poop
see seen need needs needed feel feels feeling feelings free freedom keep sleep sleepy asleep deep deeper meet meeting sweet sweetest
sweetie week weekend three tree green queen been seem seems seemed agree agreed degree speed succeed exceed indeed cheer cheers cheese
cheesy creepy creep greedy jeez geez yippee whee wee weep weeping beef beer coffee committee guarantee employee bee feed fee knee teen
between screen street steep beep peep
happy happier happiest happily unhappy happen happens happened apple app apps support supported approve appreciate disappoint
disappointed disappointing disappointment oppose opportunity upper supper stopped stopping shipped shipping dropped crappy sloppy zippy
happiness puppy yuppie
pretty better best bitter butter little battle bottle letter matter shitty witty putting getting setting sitting hitting attack attention
attitude button cotton kitten mitten bottom buttery nutty attractive ridiculous
off offer office effect effort difficult different stuff staff stiff sniff awful offended offensive suffer suffering
miss missed missing kiss kisses kissing boss mess messy messed less unless pass passed class classy glass grass ass asshole assholes pissed
bless blessed blessing blessings dress stress stressed stressful success successful process possible impossible impress impressed
impressive depressed depressing loss gross across guess passion passionate discuss massive messing useless hopeless careless endless
worthless flawless pointless senseless painless harmless heartless happiness sadness kindness rudeness
sorry worry worried worries carry married hurry horrible horrific terrific terrified terrifying terrible mirror error current arrive arrived
arrogant embarrassed embarrassing furry cherry merry berry
funny funnier funniest funnily sunny annoy annoyed annoying annoys dinner winner winning running beginning connect connection tennis penny
cannot granny nanny planning planned stunning
mommy mummy yummy tummy hmm hmmm dammit comment common immediate immediately recommend recommended recommends summer swimming slimming
grammar immature
daddy buddy add added sudden suddenly hidden middle odd teddy muddy
big bigger biggest baggage luggage bugger bugged buggy foggy giggle struggle struggling suggest
rubbish hobby robbed bubble rabbit
accept account accurate accident success access occur
egg eggs aggressive exaggerated
pizza buzz jazz fuzzy dizzy puzzle
`
