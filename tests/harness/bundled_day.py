"""What a reader makes of the bundled day in six runs: what each story is about, that lives on, splits or closes.

A story is about what more than half of its headlines are about; of others nobody could say.
"""

# By run, what the stories are about that were there before and live on under their number, about the same; once a number.
SURVIVALS: dict[int, str] = {
    2: """
        akita-bear bok-rate bok-rate brightwell-h1 ferry-fire-genoa hull-dock-fire lumen7-split moon-landing
        naples-blast pune-train quake-chile quake-chile rail-strike-de reef-heat tel-breach turin-heist
        typhoon-kanari typhoon-kanari
    """,
    3: """
        akita-bear alz-trial baby-milk-recall bok-rate bok-rate brightwell-h1 chu-hack cloud-outage cloud-outage
        cricket-test egypt-tomb farmers-delhi ferry-fire-genoa geneva-nile hull-dock-fire lumen7-split
        malaria-vaccine moon-landing naples-blast pay-outage pune-train quake-chile quake-chile rail-strike-de
        reef-heat riksbank-rate silesia-mine tel-breach turin-heist tynebank-sacking typhoon-kanari
        typhoon-kanari
    """,
    4: """
        achterberg-death akita-bear alz-trial baby-milk-recall belgium-gov bok-rate brightwell-h1 chu-hack
        cloud-outage cloud-outage cricket-test date-festival egypt-tomb farmers-delhi ferry-fire-genoa
        geneva-nile hull-dock-fire kenya-protest lumen7-split macedonia-vote madagascar-vote malaria-vaccine
        moon-landing munich-verdict munich-verdict naples-blast ostara-scrub pay-outage peru-bus pune-train
        quake-chile quake-chile quake-chile rail-strike-de reef-heat riksbank-rate silesia-mine sulawesi-ferry
        tcmb-rate tel-breach tel-breach turin-heist tynebank-sacking typhoon-kanari typhoon-kanari
        typhoon-kanari valadares-death
    """,
    5: """
        achterberg-death akita-bear alz-trial baby-milk-recall belgium-gov belgium-gov boc-rate bok-rate
        brightwell-h1 calder-rowe-q3 chu-hack cloud-outage cloud-outage cloud-outage cricket-test date-festival
        egypt-tomb farmers-delhi ferry-fire-genoa ferry-fire-genoa geneva-nile hull-dock-fire iceberg-a91
        kenya-protest leeds-coldcase lumen7-split macedonia-vote madagascar-vote madagascar-vote malaria-vaccine
        moon-landing munich-verdict munich-verdict naples-blast ohio-blast ostara-scrub pay-outage peru-bus
        pune-train pune-train quake-chile quake-chile quake-chile rail-strike-de rail-strike-de reef-heat
        rheinhafen-coach riksbank-rate shanxi-mine silesia-mine springs-rugby sulawesi-ferry tcmb-rate
        tel-breach torvald-recall tunnel-bus turin-heist turin-heist tynebank-sacking typhoon-kanari
        typhoon-kanari typhoon-kanari valadares-death vivienda-ley
    """,
    6: """
        achterberg-death achterberg-death akita-bear alz-trial baby-milk-recall baby-milk-recall belgium-gov
        belgium-gov boc-rate bok-rate brightwell-h1 calder-rowe-q3 capo-fuga capybara chu-hack cloud-outage
        cloud-outage cloud-outage cologne-bomb cricket-test date-festival egypt-tomb farmers-delhi
        ferry-fire-genoa ferry-fire-genoa geneva-nile halloran-verdict hull-dock-fire iceberg-a91 italy-denmark
        journalist-freed kenya-protest kenya-protest leeds-coldcase lumen7-split macedonia-vote madagascar-vote
        madagascar-vote malaria-vaccine moon-landing munich-verdict munich-verdict naples-blast ohio-blast
        ohio-blast ostara-scrub pay-outage peanut-recall peru-bus pune-train quake-chile quake-chile quake-chile
        quake-chile rail-strike-de rail-strike-de reef-heat rheinhafen-coach riksbank-rate shanxi-mine
        silesia-mine springs-rugby stf-terras sulawesi-ferry tcmb-rate tel-breach torvald-recall tunnel-bus
        turin-heist turin-heist tynebank-sacking typhoon-kanari typhoon-kanari typhoon-kanari uk-budget-leak
        valadares-death vivienda-ley vivienda-ley
    """,
}

# By run, what a story was about whose number goes on in a cluster that is no more of it than half, and why that will do.
EXCEPTIONS: dict[int, dict[str, str]] = {
    2: {
        "hurricane-odalys": "its headlines stay, two of the five on another storm, and one of a wildfire comes in",
    },
    3: {
        "belgium-gov": "two of its five headlines part from it; a budget and two elections stay, two more of one come in",
    },
    4: {
        "bok-rate": "two copies leave it; decisions of three central banks stay, and a fourth bank's comes in",
        "vivienda-ley": "its headlines stay, two votes in Madrid and one in a town, and one of a vote in a senate comes in",
    },
    5: {
        "bank-robbery": "its two headlines stay with one of the leak, of which two more come in",
        "silesia-mine": "of its three headlines one in another language leaves; one of each mine stays",
        "tel-breach": "of its two headlines one leaves, one of milk stays, and two more of milk and one of a fire come in",
    },
}

# (run, event, what the story was about, what becomes of it); "?" is a story of which nobody could say.
EVENTS: list[tuple[int, str, str, str]] = [
    (3, "closed into", "cloud-outage", "cloud-outage"),
    (3, "split", "belgium-gov", "belgium-gov, macedonia-vote"),  # the budget parts from two elections
    (4, "closed into", "quake-chile", "quake-chile"),  # the same earthquake, told in other languages
    (4, "split", "?", "rheinhafen-coach, springs-rugby"),  # two coaches part
    (5, "closed into", "quake-chile", "quake-chile"),
    (6, "closed into", "?", "?"),
    (6, "closed into", "pune-train", "pune-train"),  # the same train, told in other languages
    (6, "merged", "?", "?"),
]
