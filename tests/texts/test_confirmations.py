"""Every text, to the letter, in both languages; and that none is longer than it may be."""

from datetime import date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harambee.ledger.days import EAST_AFRICA
from harambee.ledger.kinds import MOVEMENTS, PARTIES, OrderKind
from harambee.ledger.outcomes import Outcome
from harambee.money.amounts import MAX_AMOUNT_CENTS
from harambee.texts.confirmations import SEGMENTS_MAX, Facts, confirmation
from harambee.texts.gsm import is_gsm, segments
from harambee.texts.languages import Language
from harambee.texts.parties import Party
from harambee.texts.wording import ENDS, TOLD, WORDINGS, TextKind


def at(*when):
    return int(datetime(*when, tzinfo=EAST_AFRICA).timestamp()) * 1000


WHEN = at(2022, 3, 3, 17, 28)
WANJIKU = Party(17, "WANJIKU KAMAU", "+254712345678")
SHOP = Party(18, "DUKA LA MAMA", "till:123456")
AGENT = Party(19, "JAMII AGENCIES", "agent:123456")
BILLER = Party(20, "MAJI WATER", "paybill:247247")
BANK = Party(21, "BENKI YA JAMII")
PAID = {"balance_cents": 2_520_319, "cost_cents": 1_200, "left_today_cents": 29_260_000}
BALANCE = {"balance_cents": 2_520_319}
UNTIL = (date(2022, 3, 4) - date(1970, 1, 1)).days


def facts(other, amount_cents=100_000, **more):
    return Facts(code="QC352PDIVL", time_ms=WHEN, other=other, amount_cents=amount_cents, **more)


# Kind, facts, the English text, the Swahili text.
TEXTS = [
    (
        TextKind.SENT,
        facts(WANJIKU, **PAID),
        (
            "QC352PDIVL Confirmed. Ksh1,000.00 sent to WANJIKU KAMAU 0712***678 on 3/3/22 at 5:28 PM. "
            "New Harambee balance is Ksh25,203.19. Transaction cost, Ksh12.00. "
            "Amount you can transact within the day is 292,600.00."
        ),
        (
            "QC352PDIVL Imethibitishwa. Ksh1,000.00 imetumwa kwa WANJIKU KAMAU 0712***678 "
            "tarehe 3/3/22 saa 5:28 PM. Baki yako mpya ya Harambee ni Ksh25,203.19. "
            "Gharama ya muamala, Ksh12.00. Kiasi unachoweza kutumia kwa siku ni 292,600.00."
        ),
    ),
    (
        TextKind.RECEIVED,
        facts(WANJIKU, **BALANCE),
        (
            "QC352PDIVL Confirmed. You have received Ksh1,000.00 from WANJIKU KAMAU 0712***678 "
            "on 3/3/22 at 5:28 PM. New Harambee balance is Ksh25,203.19."
        ),
        (
            "QC352PDIVL Imethibitishwa. Umepokea Ksh1,000.00 kutoka kwa WANJIKU KAMAU 0712***678 "
            "tarehe 3/3/22 saa 5:28 PM. Baki yako mpya ya Harambee ni Ksh25,203.19."
        ),
    ),
    (
        TextKind.TILL_PAID,
        facts(SHOP, 40_000, balance_cents=0, cost_cents=0),
        (
            "QC352PDIVL Confirmed. Ksh400.00 paid to DUKA LA MAMA. on 3/3/22 at 5:28 PM. "
            "New Harambee balance is Ksh0.00. Transaction cost, Ksh0.00."
        ),
        (
            "QC352PDIVL Imethibitishwa. Ksh400.00 imelipwa kwa DUKA LA MAMA tarehe 3/3/22 "
            "saa 5:28 PM. Baki yako mpya ya Harambee ni Ksh0.00. Gharama ya muamala, Ksh0.00."
        ),
    ),
    (
        TextKind.TILL_RECEIVED,
        facts(WANJIKU, 40_000, balance_cents=39_780, cost_cents=220),
        (
            "QC352PDIVL Confirmed. Ksh400.00 paid by WANJIKU KAMAU 0712***678 on 3/3/22 at 5:28 PM. "
            "New Harambee balance is Ksh397.80. Transaction cost, Ksh2.20."
        ),
        (
            "QC352PDIVL Imethibitishwa. Ksh400.00 imelipwa na WANJIKU KAMAU 0712***678 "
            "tarehe 3/3/22 saa 5:28 PM. Baki yako mpya ya Harambee ni Ksh397.80. "
            "Gharama ya muamala, Ksh2.20."
        ),
    ),
    (
        TextKind.BILL_PAID,
        facts(BILLER, 5_000, reference="12345", balance_cents=1_00, cost_cents=0),
        (
            "QC352PDIVL Confirmed. Ksh50.00 sent to MAJI WATER for account 12345 on 3/3/22 at 5:28 PM. "
            "New Harambee balance is Ksh1.00. Transaction cost, Ksh0.00."
        ),
        (
            "QC352PDIVL Imethibitishwa. Ksh50.00 imetumwa kwa MAJI WATER kwa akaunti 12345 "
            "tarehe 3/3/22 saa 5:28 PM. Baki yako mpya ya Harambee ni Ksh1.00. "
            "Gharama ya muamala, Ksh0.00."
        ),
    ),
    (
        TextKind.BILL_RECEIVED,
        facts(WANJIKU, 5_000, reference="12345", balance_cents=1_00, cost_cents=0),
        (
            "QC352PDIVL Confirmed. Ksh50.00 received from WANJIKU KAMAU 0712***678 for account 12345 "
            "on 3/3/22 at 5:28 PM. New Harambee balance is Ksh1.00. Transaction cost, Ksh0.00."
        ),
        (
            "QC352PDIVL Imethibitishwa. Ksh50.00 imepokewa kutoka kwa WANJIKU KAMAU 0712***678 "
            "kwa akaunti 12345 tarehe 3/3/22 saa 5:28 PM. Baki yako mpya ya Harambee ni Ksh1.00. "
            "Gharama ya muamala, Ksh0.00."
        ),
    ),
    (
        TextKind.DEPOSITED,
        facts(AGENT, 30_000, balance_cents=30_000),
        (
            "QC352PDIVL Confirmed. On 3/3/22 at 5:28 PM Give Ksh300.00 cash to JAMII AGENCIES. "
            "New Harambee balance is Ksh300.00."
        ),
        (
            "QC352PDIVL Imethibitishwa. Tarehe 3/3/22 saa 5:28 PM Mpe JAMII AGENCIES pesa taslimu "
            "Ksh300.00. Baki yako mpya ya Harambee ni Ksh300.00."
        ),
    ),
    (
        TextKind.DEPOSIT_TAKEN,
        facts(WANJIKU, 110_000, balance_cents=2_719_700),
        (
            "QC352PDIVL Confirmed. On 3/3/22 at 5:28 PM Take Ksh1,100.00 cash from "
            "WANJIKU KAMAU 0712***678. Your float balance is Ksh27,197.00."
        ),
        (
            "QC352PDIVL Imethibitishwa. Tarehe 3/3/22 saa 5:28 PM Pokea pesa taslimu Ksh1,100.00 "
            "kutoka kwa WANJIKU KAMAU 0712***678. Baki yako ya float ni Ksh27,197.00."
        ),
    ),
    (
        TextKind.WITHDRAWN,
        facts(AGENT, 30_000, **PAID),
        (
            "QC352PDIVL Confirmed. on 3/3/22 at 5:28 PM Withdraw Ksh300.00 from "
            "123456 - JAMII AGENCIES. New Harambee balance is Ksh25,203.19. "
            "Transaction cost, Ksh12.00. Amount you can transact within the day is 292,600.00."
        ),
        (
            "QC352PDIVL Imethibitishwa. tarehe 3/3/22 saa 5:28 PM Toa Ksh300.00 kutoka kwa "
            "123456 - JAMII AGENCIES. Baki yako mpya ya Harambee ni Ksh25,203.19. "
            "Gharama ya muamala, Ksh12.00. Kiasi unachoweza kutumia kwa siku ni 292,600.00."
        ),
    ),
    (
        TextKind.WITHDRAWAL_GIVEN,
        facts(WANJIKU, 30_000, balance_cents=2_719_700, commission_cents=640),
        (
            "QC352PDIVL Confirmed. On 3/3/22 at 5:28 PM Give Ksh300.00 cash to "
            "WANJIKU KAMAU 0712***678. Your float balance is Ksh27,197.00. Commission earned, Ksh6.40."
        ),
        (
            "QC352PDIVL Imethibitishwa. Tarehe 3/3/22 saa 5:28 PM Mpe WANJIKU KAMAU 0712***678 "
            "pesa taslimu Ksh300.00. Baki yako ya float ni Ksh27,197.00. "
            "Kamisheni uliyopata, Ksh6.40."
        ),
    ),
    (
        TextKind.AIRTIME_BOUGHT,
        facts(Party(30), 5_000, reference="+254712345678", cost_cents=0, **BALANCE),
        (
            "QC352PDIVL Confirmed. You bought Ksh50.00 of airtime for 0712***678 on 3/3/22 at 5:28 PM. "
            "New Harambee balance is Ksh25,203.19. Transaction cost, Ksh0.00."
        ),
        (
            "QC352PDIVL Imethibitishwa. Umenunua muda wa maongezi wa Ksh50.00 kwa 0712***678 "
            "tarehe 3/3/22 saa 5:28 PM. Baki yako mpya ya Harambee ni Ksh25,203.19. "
            "Gharama ya muamala, Ksh0.00."
        ),
    ),
    (
        TextKind.AIRTIME_SOLD,
        facts(WANJIKU, 5_000, **BALANCE),
        (
            "QC352PDIVL Confirmed. Ksh50.00 of airtime sold to WANJIKU KAMAU 0712***678 "
            "on 3/3/22 at 5:28 PM. New Harambee balance is Ksh25,203.19."
        ),
        (
            "QC352PDIVL Imethibitishwa. Umemuuzia WANJIKU KAMAU 0712***678 muda wa maongezi wa "
            "Ksh50.00 tarehe 3/3/22 saa 5:28 PM. Baki yako mpya ya Harambee ni Ksh25,203.19."
        ),
    ),
    (
        TextKind.PAID_OUT,
        facts(WANJIKU, cost_cents=500, **BALANCE),
        (
            "QC352PDIVL Confirmed. Ksh1,000.00 paid out to WANJIKU KAMAU 0712***678 "
            "on 3/3/22 at 5:28 PM. New Harambee balance is Ksh25,203.19. Transaction cost, Ksh5.00."
        ),
        (
            "QC352PDIVL Imethibitishwa. Ksh1,000.00 imelipwa kwa WANJIKU KAMAU 0712***678 "
            "tarehe 3/3/22 saa 5:28 PM. Baki yako mpya ya Harambee ni Ksh25,203.19. "
            "Gharama ya muamala, Ksh5.00."
        ),
    ),
    (
        TextKind.BULK_PAID_OUT,
        facts(Party(20), cost_cents=500, **BALANCE),
        (
            "QC352PDIVL Confirmed. Ksh1,000.00 paid out in bulk on 3/3/22 at 5:28 PM. "
            "New Harambee balance is Ksh25,203.19. Transaction cost, Ksh5.00."
        ),
        (
            "QC352PDIVL Imethibitishwa. Ksh1,000.00 imelipwa kwa watu wengi kwa pamoja "
            "tarehe 3/3/22 saa 5:28 PM. Baki yako mpya ya Harambee ni Ksh25,203.19. "
            "Gharama ya muamala, Ksh5.00."
        ),
    ),
    (
        TextKind.PAY_OUT_RECEIVED,
        facts(BILLER, **BALANCE),
        (
            "QC352PDIVL Confirmed. You have received Ksh1,000.00 from MAJI WATER "
            "on 3/3/22 at 5:28 PM. New Harambee balance is Ksh25,203.19."
        ),
        (
            "QC352PDIVL Imethibitishwa. Umepokea Ksh1,000.00 kutoka kwa MAJI WATER "
            "tarehe 3/3/22 saa 5:28 PM. Baki yako mpya ya Harambee ni Ksh25,203.19."
        ),
    ),
    (
        TextKind.BANK_TO_WALLET,
        facts(BANK, **BALANCE),
        (
            "QC352PDIVL Confirmed. You have received Ksh1,000.00 from your bank, BENKI YA JAMII, "
            "on 3/3/22 at 5:28 PM. New Harambee balance is Ksh25,203.19."
        ),
        (
            "QC352PDIVL Imethibitishwa. Umepokea Ksh1,000.00 kutoka benki yako, BENKI YA JAMII, "
            "tarehe 3/3/22 saa 5:28 PM. Baki yako mpya ya Harambee ni Ksh25,203.19."
        ),
    ),
    (
        TextKind.WALLET_TO_BANK,
        facts(BANK, cost_cents=0, **BALANCE),
        (
            "QC352PDIVL Confirmed. Ksh1,000.00 sent to your bank, BENKI YA JAMII, "
            "on 3/3/22 at 5:28 PM. New Harambee balance is Ksh25,203.19. Transaction cost, Ksh0.00."
        ),
        (
            "QC352PDIVL Imethibitishwa. Ksh1,000.00 imetumwa kwa benki yako, BENKI YA JAMII, "
            "tarehe 3/3/22 saa 5:28 PM. Baki yako mpya ya Harambee ni Ksh25,203.19. "
            "Gharama ya muamala, Ksh0.00."
        ),
    ),
    (
        TextKind.FLOAT_SOLD,
        facts(AGENT, **BALANCE),
        (
            "QC352PDIVL Confirmed. On 3/3/22 at 5:28 PM Ksh1,000.00 of float sent to "
            "123456 - JAMII AGENCIES. Your float balance is Ksh25,203.19."
        ),
        (
            "QC352PDIVL Imethibitishwa. Tarehe 3/3/22 saa 5:28 PM float ya Ksh1,000.00 imetumwa kwa "
            "123456 - JAMII AGENCIES. Baki yako ya float ni Ksh25,203.19."
        ),
    ),
    (
        TextKind.FLOAT_BOUGHT,
        facts(AGENT, **BALANCE),
        (
            "QC352PDIVL Confirmed. On 3/3/22 at 5:28 PM Ksh1,000.00 of float received from "
            "123456 - JAMII AGENCIES. Your float balance is Ksh25,203.19."
        ),
        (
            "QC352PDIVL Imethibitishwa. Tarehe 3/3/22 saa 5:28 PM float ya Ksh1,000.00 imepokewa "
            "kutoka kwa 123456 - JAMII AGENCIES. Baki yako ya float ni Ksh25,203.19."
        ),
    ),
    (
        TextKind.BUSINESS_SENT,
        facts(BILLER, cost_cents=0, **BALANCE),
        (
            "QC352PDIVL Confirmed. Ksh1,000.00 sent to 247247 - MAJI WATER on 3/3/22 at 5:28 PM. "
            "New Harambee balance is Ksh25,203.19. Transaction cost, Ksh0.00."
        ),
        (
            "QC352PDIVL Imethibitishwa. Ksh1,000.00 imetumwa kwa 247247 - MAJI WATER "
            "tarehe 3/3/22 saa 5:28 PM. Baki yako mpya ya Harambee ni Ksh25,203.19. "
            "Gharama ya muamala, Ksh0.00."
        ),
    ),
    (
        TextKind.BUSINESS_RECEIVED,
        facts(Party(9), **BALANCE),
        (
            "QC352PDIVL Confirmed. You have received Ksh1,000.00 from account 9 "
            "on 3/3/22 at 5:28 PM. New Harambee balance is Ksh25,203.19."
        ),
        (
            "QC352PDIVL Imethibitishwa. Umepokea Ksh1,000.00 kutoka kwa akaunti 9 "
            "tarehe 3/3/22 saa 5:28 PM. Baki yako mpya ya Harambee ni Ksh25,203.19."
        ),
    ),
    (
        TextKind.COMMISSION_EARNED,
        facts(Party(2), 640, balance_cents=2_719_700),
        (
            "QC352PDIVL Confirmed. You have earned Ksh6.40 of commission on 3/3/22 at 5:28 PM. "
            "Your float balance is Ksh27,197.00."
        ),
        (
            "QC352PDIVL Imethibitishwa. Umepata kamisheni ya Ksh6.40 tarehe 3/3/22 saa 5:28 PM. "
            "Baki yako ya float ni Ksh27,197.00."
        ),
    ),
    (
        TextKind.CANCELLED,
        facts(Party(16), 0, **BALANCE),
        (
            "QC352PDIVL Cancelled on 3/3/22 at 5:28 PM. The payment with this code was not made and "
            "will not be; no money has left your account. New Harambee balance is Ksh25,203.19."
        ),
        (
            "QC352PDIVL Imeghairiwa tarehe 3/3/22 saa 5:28 PM. Malipo yenye nambari hii hayakufanyika "
            "na hayatafanyika; hakuna pesa iliyotoka kwenye akaunti yako. "
            "Baki yako mpya ya Harambee ni Ksh25,203.19."
        ),
    ),
    (
        TextKind.REFUSED,
        facts(WANJIKU, outcome=Outcome.BALANCE_INSUFFICIENT),
        (
            "QC352PDIVL Failed. Ksh1,000.00 was not sent to WANJIKU KAMAU 0712***678 "
            "on 3/3/22 at 5:28 PM. You do not have enough money for the amount and the fee. "
            "No money has left your account."
        ),
        (
            "QC352PDIVL Imeshindikana. Ksh1,000.00 haikutumwa kwa WANJIKU KAMAU 0712***678 "
            "tarehe 3/3/22 saa 5:28 PM. Huna pesa za kutosha kwa kiasi hicho na gharama yake. "
            "Hakuna pesa iliyotoka kwenye akaunti yako."
        ),
    ),
    (
        TextKind.BALANCE,
        facts(Party(16), 0, cost_cents=0, **BALANCE),
        (
            "Confirmed. Your Harambee balance was Ksh25,203.19 on 3/3/22 at 5:28 PM. "
            "Transaction cost, Ksh0.00."
        ),
        (
            "Imethibitishwa. Baki yako ya Harambee ilikuwa Ksh25,203.19 tarehe 3/3/22 saa 5:28 PM. "
            "Gharama ya muamala, Ksh0.00."
        ),
    ),
    (
        TextKind.KEY_REQUESTED,
        facts(Party(16), 0, from_day=19_058),
        (
            "QC352PDIVL Confirmed. A new phone was asked for your Harambee account on 3/3/22 at 5:28 PM. "
            "It takes over from 7/3/22. If you did not ask for it, refuse it now on your old phone "
            "(key refuse) or at an agent."
        ),
        (
            "QC352PDIVL Imethibitishwa. Simu mpya imeombwa kwa akaunti yako ya Harambee tarehe 3/3/22 "
            "saa 5:28 PM. Itaanza kutumika 7/3/22. Kama hukuiomba, ikatae sasa kwa simu yako ya zamani "
            "(key refuse) au kwa wakala."
        ),
    ),
    (
        TextKind.KEY_TAKEN,
        facts(Party(16), 0),
        (
            "QC352PDIVL Confirmed. A new phone signs for your Harambee account since 3/3/22 at 5:28 PM. "
            "The old one cannot pay any more."
        ),
        (
            "QC352PDIVL Imethibitishwa. Simu mpya inatumika kwa akaunti yako ya Harambee tangu 3/3/22 "
            "saa 5:28 PM. Ya zamani haiwezi kulipa tena."
        ),
    ),
    (
        TextKind.KEY_REFUSED,
        facts(Party(16), 0),
        (
            "QC352PDIVL Confirmed. You refused the new phone on 3/3/22 at 5:28 PM. "
            "Your phone pays as before."
        ),
        (
            "QC352PDIVL Imethibitishwa. Umekataa simu mpya tarehe 3/3/22 saa 5:28 PM. "
            "Simu yako inalipa kama zamani."
        ),
    ),
    (
        TextKind.KEY_CHANGED,
        facts(Party(16), 0),
        (
            "QC352PDIVL Confirmed. The key of your Harambee account was changed on 3/3/22 at 5:28 PM."
        ),
        (
            "QC352PDIVL Imethibitishwa. Ufunguo wa akaunti yako ya Harambee umebadilishwa tarehe 3/3/22 "
            "saa 5:28 PM."
        ),
    ),
    (
        TextKind.HELD,
        facts(WANJIKU, free_cents=1_520_319, until_day=UNTIL),
        (
            "QC352PDIVL Confirmed. Ksh1,000.00 is held for WANJIKU KAMAU 0712***678 on 3/3/22 at "
            "5:28 PM and not paid yet. You can take it back before 4/3/22. "
            "Amount you can use now is Ksh15,203.19."
        ),
        (
            "QC352PDIVL Imethibitishwa. Ksh1,000.00 imewekwa kwa ajili ya WANJIKU KAMAU 0712***678 "
            "tarehe 3/3/22 saa 5:28 PM na bado haijalipwa. Unaweza kuirudisha kabla ya 4/3/22. "
            "Kiasi unachoweza kutumia sasa ni Ksh15,203.19."
        ),
    ),
    (
        TextKind.HELD_FOR,
        facts(WANJIKU),
        (
            "QC352PDIVL Pending. Ksh1,000.00 from WANJIKU KAMAU 0712***678 is held for you on 3/3/22 "
            "at 5:28 PM. It is not yours yet: wait for the text that you have received it."
        ),
        (
            "QC352PDIVL Inasubiri. Ksh1,000.00 kutoka kwa WANJIKU KAMAU 0712***678 imewekwa kwa ajili "
            "yako tarehe 3/3/22 saa 5:28 PM. Bado si yako: subiri ujumbe kwamba umeipokea."
        ),
    ),
    (
        TextKind.AUTHORISED,
        facts(SHOP, free_cents=1_520_319, until_day=UNTIL),
        (
            "QC352PDIVL Confirmed. Ksh1,000.00 is held for DUKA LA MAMA on 3/3/22 at 5:28 PM. They may "
            "take it, or a part of it; what they have not taken you can take back from 4/3/22. "
            "Amount you can use now is Ksh15,203.19."
        ),
        (
            "QC352PDIVL Imethibitishwa. Ksh1,000.00 imewekwa kwa ajili ya DUKA LA MAMA tarehe 3/3/22 "
            "saa 5:28 PM. Wanaweza kuichukua yote au sehemu; wasipoichukua unaweza kuirudisha kuanzia "
            "4/3/22. Kiasi unachoweza kutumia sasa ni Ksh15,203.19."
        ),
    ),
    (
        TextKind.AUTHORISED_FOR,
        facts(WANJIKU, until_day=UNTIL),
        (
            "QC352PDIVL Authorised. Ksh1,000.00 from WANJIKU KAMAU 0712***678 is held for you on "
            "3/3/22 at 5:28 PM. It is yours when you take it; from 4/3/22 they can take it back."
        ),
        (
            "QC352PDIVL Imeidhinishwa. Ksh1,000.00 kutoka kwa WANJIKU KAMAU 0712***678 imewekwa kwa "
            "ajili yako tarehe 3/3/22 saa 5:28 PM. Ni yako ukiichukua; kuanzia 4/3/22 wanaweza "
            "kuirudisha."
        ),
    ),
    (
        TextKind.VOIDED,
        facts(WANJIKU, free_cents=2_520_319),
        (
            "QC352PDIVL Voided on 3/3/22 at 5:28 PM. Ksh1,000.00 that was held for WANJIKU KAMAU "
            "0712***678 was not paid and is free again. Amount you can use now is Ksh25,203.19."
        ),
        (
            "QC352PDIVL Imebatilishwa tarehe 3/3/22 saa 5:28 PM. Ksh1,000.00 iliyowekwa kwa ajili ya "
            "WANJIKU KAMAU 0712***678 haikulipwa na unaweza kuitumia tena. "
            "Kiasi unachoweza kutumia sasa ni Ksh25,203.19."
        ),
    ),
    (
        TextKind.VOIDED_FOR,
        facts(WANJIKU),
        (
            "QC352PDIVL Voided on 3/3/22 at 5:28 PM. Ksh1,000.00 from WANJIKU KAMAU 0712***678 that "
            "was held for you was not paid."
        ),
        (
            "QC352PDIVL Imebatilishwa tarehe 3/3/22 saa 5:28 PM. Ksh1,000.00 kutoka kwa WANJIKU KAMAU "
            "0712***678 iliyowekwa kwa ajili yako haikulipwa."
        ),
    ),
    (
        TextKind.REFUNDED,
        facts(WANJIKU, **BALANCE),
        (
            "QC352PDIVL Confirmed. Ksh1,000.00 refunded to WANJIKU KAMAU 0712***678 on 3/3/22 at "
            "5:28 PM. New Harambee balance is Ksh25,203.19."
        ),
        (
            "QC352PDIVL Imethibitishwa. Ksh1,000.00 imerudishwa kwa WANJIKU KAMAU 0712***678 "
            "tarehe 3/3/22 saa 5:28 PM. Baki yako mpya ya Harambee ni Ksh25,203.19."
        ),
    ),
    (
        TextKind.REFUND_RECEIVED,
        facts(SHOP, **BALANCE),
        (
            "QC352PDIVL Confirmed. You have received a refund of Ksh1,000.00 from DUKA LA MAMA "
            "on 3/3/22 at 5:28 PM. New Harambee balance is Ksh25,203.19."
        ),
        (
            "QC352PDIVL Imethibitishwa. Umerudishiwa Ksh1,000.00 na DUKA LA MAMA tarehe 3/3/22 "
            "saa 5:28 PM. Baki yako mpya ya Harambee ni Ksh25,203.19."
        ),
    ),
    (
        TextKind.REVERSAL_ASKED,
        facts(WANJIKU, paid_code="QC24AAAAAA"),
        (
            "QC352PDIVL Confirmed. You have asked WANJIKU KAMAU 0712***678 for Ksh1,000.00 of payment "
            "QC24AAAAAA back on 3/3/22 at 5:28 PM. No money has moved: they may return it or refuse."
        ),
        (
            "QC352PDIVL Imethibitishwa. Umemwomba WANJIKU KAMAU 0712***678 akurudishie Ksh1,000.00 ya "
            "malipo QC24AAAAAA tarehe 3/3/22 saa 5:28 PM. Hakuna pesa iliyohamishwa: anaweza kurudisha "
            "au kukataa."
        ),
    ),
    (
        TextKind.REVERSAL_ASKED_OF,
        facts(WANJIKU, paid_code="QC24AAAAAA"),
        (
            "QC352PDIVL WANJIKU KAMAU 0712***678 asks you on 3/3/22 at 5:28 PM to return Ksh1,000.00 "
            "of payment QC24AAAAAA. To agree, refund QC24AAAAAA; to keep it, refuse. "
            "No money has left your account."
        ),
        (
            "QC352PDIVL WANJIKU KAMAU 0712***678 anaomba tarehe 3/3/22 saa 5:28 PM umrudishie "
            "Ksh1,000.00 ya malipo QC24AAAAAA. Ukikubali, rudisha QC24AAAAAA; usipokubali, kataa. "
            "Hakuna pesa iliyotoka kwenye akaunti yako."
        ),
    ),
    (
        TextKind.REVERSAL_REFUSED,
        facts(WANJIKU, 0, paid_code="QC24AAAAAA"),
        (
            "QC352PDIVL Confirmed. You have refused to return payment QC24AAAAAA to "
            "WANJIKU KAMAU 0712***678 on 3/3/22 at 5:28 PM."
        ),
        (
            "QC352PDIVL Imethibitishwa. Umekataa kurudisha malipo QC24AAAAAA kwa "
            "WANJIKU KAMAU 0712***678 tarehe 3/3/22 saa 5:28 PM."
        ),
    ),
    (
        TextKind.REVERSAL_REFUSED_TO,
        facts(WANJIKU, 0, paid_code="QC24AAAAAA"),
        (
            "QC352PDIVL WANJIKU KAMAU 0712***678 has refused to return payment QC24AAAAAA on 3/3/22 "
            "at 5:28 PM. If you do not agree, you can dispute it."
        ),
        (
            "QC352PDIVL WANJIKU KAMAU 0712***678 amekataa kurudisha malipo QC24AAAAAA tarehe 3/3/22 "
            "saa 5:28 PM. Usipokubali, unaweza kuyapinga."
        ),
    ),
    (
        TextKind.DISPUTED,
        facts(SHOP, 0, paid_code="QC24AAAAAA"),
        (
            "QC352PDIVL Confirmed. You have disputed payment QC24AAAAAA to DUKA LA MAMA on 3/3/22 "
            "at 5:28 PM. No money has moved; keep what shows what it was for."
        ),
        (
            "QC352PDIVL Imethibitishwa. Umepinga malipo QC24AAAAAA kwa DUKA LA MAMA tarehe 3/3/22 "
            "saa 5:28 PM. Hakuna pesa iliyohamishwa; tunza ushahidi wa malipo hayo."
        ),
    ),
    (
        TextKind.DISPUTED_WITH,
        facts(WANJIKU, 0, paid_code="QC24AAAAAA"),
        (
            "QC352PDIVL WANJIKU KAMAU 0712***678 has disputed payment QC24AAAAAA to you on 3/3/22 "
            "at 5:28 PM. No money has moved; keep what shows what it was for."
        ),
        (
            "QC352PDIVL WANJIKU KAMAU 0712***678 amepinga malipo QC24AAAAAA kwako tarehe 3/3/22 "
            "saa 5:28 PM. Hakuna pesa iliyohamishwa; tunza ushahidi wa malipo hayo."
        ),
    ),
    (
        TextKind.FROZEN,
        facts(Party(0), 0),
        (
            "QC352PDIVL Your account was frozen on 3/3/22 at 5:28 PM. It can neither pay nor be paid "
            "until it is unfrozen. Your money stays yours; ask your super-agent."
        ),
        (
            "QC352PDIVL Akaunti yako imezuiwa tarehe 3/3/22 saa 5:28 PM. Haiwezi kulipa wala kulipwa "
            "hadi itakapofunguliwa. Pesa zako bado ni zako; muulize wakala mkuu wako."
        ),
    ),
    (
        TextKind.FROZEN_PART,
        facts(Party(0), free_cents=1_520_319),
        (
            "QC352PDIVL Ksh1,000.00 of your account was frozen on 3/3/22 at 5:28 PM. You can use the "
            "rest. Ask your super-agent. Amount you can use now is Ksh15,203.19."
        ),
        (
            "QC352PDIVL Ksh1,000.00 ya akaunti yako imezuiwa tarehe 3/3/22 saa 5:28 PM. Unaweza kutumia "
            "zilizobaki. Muulize wakala mkuu wako. Kiasi unachoweza kutumia sasa ni Ksh15,203.19."
        ),
    ),
    (
        TextKind.UNFROZEN,
        facts(Party(0), 0, **BALANCE),
        (
            "QC352PDIVL Your account was unfrozen on 3/3/22 at 5:28 PM. You can pay and be paid again. "
            "New Harambee balance is Ksh25,203.19."
        ),
        (
            "QC352PDIVL Akaunti yako imefunguliwa tarehe 3/3/22 saa 5:28 PM. Unaweza kulipa na kulipwa "
            "tena. Baki yako mpya ya Harambee ni Ksh25,203.19."
        ),
    ),
    (
        TextKind.UNFROZEN_PART,
        facts(Party(0), free_cents=2_520_319),
        (
            "QC352PDIVL Ksh1,000.00 of your account was unfrozen on 3/3/22 at 5:28 PM. "
            "Amount you can use now is Ksh25,203.19."
        ),
        (
            "QC352PDIVL Ksh1,000.00 ya akaunti yako imefunguliwa tarehe 3/3/22 saa 5:28 PM. "
            "Kiasi unachoweza kutumia sasa ni Ksh25,203.19."
        ),
    ),
]


@pytest.mark.parametrize(("kind", "told", "english", "swahili"), TEXTS, ids=lambda v: str(v)[:24])
def test_the_text_of_each_kind(kind, told, english, swahili):
    assert confirmation(kind, told) == english
    assert confirmation(kind, told, Language.SWAHILI) == swahili


def test_the_table_has_every_kind_once():
    assert [row[0] for row in TEXTS] == list(TextKind)


# A release is told as the payment that it is.
MOVING = [k for k in OrderKind if MOVEMENTS[k].moves_money and k is not OrderKind.RELEASE]


@pytest.mark.parametrize("kind", MOVING)
def test_every_movement_of_a_party_is_told_to_it(kind):
    """Super-agents' own accounts and banks read no texts; everybody else is told."""
    movement = MOVEMENTS[kind]
    payer, payee = TOLD.get(kind, (None, None))
    if set(movement.payers) & set(PARTIES):
        assert payer is not None
    if set(movement.payees) & set(PARTIES):
        assert payee is not None


@pytest.mark.parametrize(
    ("other", "shown"),
    [
        (Party(17, "WANJIKU KAMAU"), "WANJIKU KAMAU"),
        (Party(17, None, "+254112345678"), "0112***678"),
        (Party(17, None, "pochi:+254712345678"), "0712***678"),
        (Party(17), "account 17"),
        (Party(17, "Wanjikũ wa Mũthoni"), "Wanjiku wa Muthoni"),
        (Party(17, "TWO\nLINES {amount}"), "TWO LINES {amount}"),
        (Party(17, "   "), "account 17"),
    ],
)
def test_how_the_other_side_is_shown(other, shown):
    told = confirmation(TextKind.SENT, facts(other))
    assert told == f"QC352PDIVL Confirmed. Ksh1,000.00 sent to {shown} on 3/3/22 at 5:28 PM."


@pytest.mark.parametrize(
    ("when", "shown"),
    [
        ((2026, 6, 1, 0, 5), "on 1/6/26 at 12:05 AM"),
        ((2026, 12, 31, 12, 0), "on 31/12/26 at 12:00 PM"),
        ((2026, 1, 6, 23, 59), "on 6/1/26 at 11:59 PM"),
    ],
)
def test_dates_and_times(when, shown):
    told = Facts(code="QC352PDIVL", time_ms=at(*when), other=Party(17), amount_cents=1)
    assert confirmation(TextKind.RECEIVED, told).endswith(f"account 17 {shown}.")


LARGEST: dict[str, int] = dict.fromkeys(
    ("amount_cents", "balance_cents", "cost_cents", "left_today_cents", "commission_cents"),
    MAX_AMOUNT_CENTS,
)


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("kind", TextKind)
@given(name=st.text(max_size=60), outcome=st.sampled_from(Outcome))
def test_no_text_is_longer_than_it_may_be(kind, language, name, outcome):
    """The longest names and amounts there are, and any sign in them."""
    for other in (
        Party(2**32 - 1, name + "W" * 60, "+254712345678"),
        Party(17, name, "till:9999999"),
    ):
        told = Facts(
            code="QC352PDIVL",
            time_ms=at(2022, 12, 30, 22, 58),
            other=other,
            reference=name,
            outcome=outcome,
            free_cents=MAX_AMOUNT_CENTS,
            until_day=20_818,
            paid_code="QC24AAAAAA",
            **LARGEST,
        )
        text = confirmation(kind, told, language, brand="A network of long name")
        assert is_gsm(text)
        assert segments(text) <= SEGMENTS_MAX, text


CUSTOMERS: dict[str, int] = {
    "amount_cents": 250_000_00,
    "balance_cents": 500_000_00,
    "cost_cents": 309_00,
    "left_today_cents": 500_000_00,
    "commission_cents": 200_00,
    "free_cents": 500_000_00,
    "until_day": 20_000,
}


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("kind", TextKind)
def test_no_sentence_is_left_out_of_a_customers_text(kind, language):
    """With the largest amounts that customers have, and names as long as are shown."""
    told = Facts(
        code="QC352PDIVL",
        time_ms=WHEN,
        other=Party(17, "W" * 40, "+254712345678"),
        reference="R" * 20,
        **CUSTOMERS,
    )
    text = confirmation(kind, told, language)
    ends = [ENDS[end][language is Language.SWAHILI] for end in WORDINGS[kind].ends]
    assert all(end.partition(" {")[0] in text for end in ends), text


def test_a_text_about_a_balance_needs_one():
    with pytest.raises(ValueError, match="needs the balance"):
        confirmation(TextKind.BALANCE, facts(Party(1)))
