"""What a reader makes of the bundled day in six runs: what each story is about, that lives on, splits or closes.

A story is about what more than half of its headlines are about; of others nobody could say.
"""

# By run, what the stories are about that were there before and live on under their number, about the same; once a number.
SURVIVALS: dict[int, str] = {
    2: """
        akita-bear bok-rate bok-rate brightwell-h1 ferry-fire-genoa hull-dock-fire hurricane-odalys lumen7-split
        moon-landing naples-blast pune-train quake-chile rail-strike-de reef-heat tel-breach turin-heist typhoon-kanari
        typhoon-kanari
    """,
    3: """
        akita-bear alz-trial baby-milk-recall belgium-gov bok-rate bok-rate brightwell-h1 chu-hack cloud-outage
        cloud-outage cricket-test egypt-tomb farmers-delhi ferry-fire-genoa geneva-nile hull-dock-fire hurricane-odalys
        lumen7-split malaria-vaccine moon-landing naples-blast pay-outage pune-train quake-chile rail-strike-de
        reef-heat riksbank-rate silesia-mine tel-breach turin-heist tynebank-sacking typhoon-kanari typhoon-kanari
    """,
    4: """
        achterberg-death akita-bear alz-trial baby-milk-recall belgium-gov bok-rate brightwell-h1 chu-hack cloud-outage
        cloud-outage cricket-test date-festival egypt-tomb farmers-delhi ferry-fire-genoa geneva-nile hull-dock-fire
        hurricane-odalys lumen7-split macedonia-vote madagascar-vote malaria-vaccine moon-landing munich-verdict
        munich-verdict naples-blast ostara-scrub pay-outage peru-bus pune-train quake-chile quake-chile quake-chile
        rail-strike-de reef-heat rheinhafen-coach riksbank-rate silesia-mine springs-rugby storm-benedikt sulawesi-ferry
        tcmb-rate tel-breach tel-breach turin-heist tynebank-sacking typhoon-kanari typhoon-kanari typhoon-kanari
        valadares-death
    """,
    5: """
        achterberg-death akita-bear alz-trial baby-milk-recall bank-robbery belgium-gov belgium-gov belgium-gov boc-rate
        bok-rate brightwell-h1 calder-rowe-q3 chu-hack cloud-outage cloud-outage cloud-outage cricket-test date-festival
        egypt-tomb farmers-delhi ferry-fire-genoa ferry-fire-genoa geneva-nile hull-dock-fire hurricane-odalys
        hurricane-odalys iceberg-a91 leeds-coldcase lumen7-split macedonia-vote madagascar-vote madagascar-vote
        malaria-vaccine moon-landing moon-landing munich-verdict munich-verdict naples-blast ohio-blast ostara-scrub
        pay-outage peru-bus pune-train pune-train quake-chile quake-chile quake-chile quake-chile rail-strike-de
        rail-strike-de reef-heat rheinhafen-coach riksbank-rate silesia-mine springs-rugby storm-benedikt sulawesi-ferry
        tcmb-rate tel-breach torvald-recall tunnel-bus turin-heist turin-heist tynebank-sacking typhoon-kanari
        typhoon-kanari typhoon-kanari valadares-death vivienda-ley
    """,
    6: """
        achterberg-death achterberg-death akita-bear alz-trial baby-milk-recall bank-robbery belgium-gov belgium-gov
        belgium-gov boc-rate boc-rate bok-rate brightwell-h1 capo-fuga capybara chu-hack cloud-outage cloud-outage
        cloud-outage cologne-bomb cricket-test date-festival egypt-tomb farmers-delhi ferry-fire-genoa ferry-fire-genoa
        geneva-nile halloran-verdict hull-dock-fire hurricane-odalys hurricane-odalys iceberg-a91 italy-denmark
        journalist-freed kenya-protest leeds-coldcase lumen7-split macedonia-vote madagascar-vote madagascar-vote
        malaria-vaccine moon-landing moon-landing munich-verdict munich-verdict naples-blast ohio-blast ohio-blast
        ostara-scrub pay-outage peanut-recall peru-bus pune-train quake-chile quake-chile quake-chile quake-chile
        rail-strike-de rail-strike-de reef-heat rheinhafen-coach riksbank-rate silesia-mine springs-rugby stf-terras
        storm-benedikt sulawesi-ferry tcmb-rate tel-breach torvald-recall tunnel-bus turin-heist turin-heist
        tynebank-sacking typhoon-kanari typhoon-kanari typhoon-kanari uk-budget-leak valadares-death vivienda-ley
        vivienda-ley
    """,
}

# By run, what a story was about whose number goes on in a cluster that is no more of it than half, and why that will do.
EXCEPTIONS: dict[int, dict[str, str]] = {
    4: {
        "bok-rate": "its three headlines stay; three other central banks decide the same day, and headlines say it alike",
        "vivienda-ley": "its two headlines stay, and two of other votes in other chambers come in",
    },
    5: {
        "humber-bridge": "its headlines stay; of one, 'Bridge reopens', nobody could say which bridge",
        "shanxi-mine": "of two headlines one leaves, and one of other water comes in; the next run puts it right",
        "tel-breach": "of two headlines one leaves; what firms tell their customers about milk and a fire comes in",
    },
    6: {
        "calder-rowe-q3": "of two headlines one leaves; the other is of a profit above forecasts, as those are that come",
        "pune-train": "its headlines stay, and others that count fourteen of something come in",
    },
}

# (run, event, what the story was about, what becomes of it); "?" is a story of which nobody could say.
EVENTS: list[tuple[int, str, str, str]] = [
    (3, "closed into", "cloud-outage", "cloud-outage"),
    (3, "split", "hurricane-odalys", "hurricane-odalys, storm-benedikt"),
]
