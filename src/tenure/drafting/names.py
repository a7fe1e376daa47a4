"""What companies call the columns of the contract, in lower case and without signs."""

from __future__ import annotations

__all__ = ["BETTER_CUSTOMER", "FILE_WORDS", "SYNONYMS", "TELLTALES"]

_CUSTOMER = (
    "customeruniqueid customerid customer custid customernumber customerno customerkey clientid "
    "client householdid household householdkey memberid member accountid account buyerid buyer "
    "shopperid subscriberid contactid requesterid userid user email"
)
_TIME = "ts timestamp datetime date createdat created createddate time day"
_ORDER = "orderid ordernumber orderno order"

BETTER_CUSTOMER = ("customeruniqueid", "uniquecustomerid", "personid", "mastercustomerid")
"""Names that stand for a person where another column numbers the customer of one order."""

# in the order of preference
SYNONYMS: dict[str, dict[str, str]] = {
    "transactions": {
        "customer_id": _CUSTOMER,
        "ts": "ts invoicedate orderdate orderedat orderpurchasetimestamp purchasedate purchasedat "
        "purchasetimestamp transactiondate transactiontime transactiontimestamp saledate soldat "
        "boughtat paidat paymentdate invoicedat bookedat " + _TIME,
        "amount": "amount totalamount total totalprice ordertotal ordervalue orderamount "
        "grandtotal paid paymentvalue amountpaid netamount grossamount revenue sales salesvalue "
        "turnover spend subtotal value",
        "quantity": "quantity qty units items itemcount pieces",
        "unit_price": "unitprice price itemprice priceperunit pieceprice",
        "transaction_id": "transactionid transaction " + _ORDER + " invoiceno invoice invoiceid "
        "invoicenumber basketid receiptid saleid paymentid id",
        "cancelled_at": "cancelledat canceledat cancellationdate cancelleddate",
        "channel": "channel saleschannel orderchannel",
        "category": "category productcategory department",
        "partner": "partner carrier sellerid seller storeid store shop vendor",
        "discount": "discount discountamount discounts rebate",
        "promised_at": "promisedat promiseddate orderestimateddeliverydate estimateddeliverydate "
        "estimateddelivery expecteddelivery expecteddeliverydate",
        "delivered_at": "deliveredat delivereddate orderdeliveredcustomerdate deliverydate",
        "currency": "currency currencycode",
        "loaded_at": "loadedat ingestedat loadtimestamp",
    },
    "interactions": {
        "customer_id": _CUSTOMER,
        "opened_at": "openedat opened opendate submittedat startedat " + _TIME,
        "interaction_id": "interactionid ticketid ticketnumber caseid casenumber conversationid "
        "callid contactid id",
        "first_response_at": "firstresponseat firstreplyat firstrespondedat firstresponse",
        "resolved_at": "resolvedat solvedat resolved resolutiondate resolveddate",
        "closed_at": "closedat closed closeddate closedate",
        "reopened_at": "reopenedat",
        "escalated_at": "escalatedat",
        "direction": "direction",
        "channel": "channel via contactchannel",
        "topic": "topic reason contactreason issue issuetype category subjectcategory",
        "transaction_id": "transactionid " + _ORDER,
        "wait_seconds": "waitseconds waittimeseconds queueseconds",
        "replies": "replies replycount",
        "handoffs": "handoffs transfers assignments",
        "reopens": "reopens reopencount",
        "loaded_at": "loadedat ingestedat",
    },
    "surveys": {
        "customer_id": _CUSTOMER,
        "answered_at": "answeredat respondedat responsedate reviewanswertimestamp submittedat "
        "completedat answerdate responseat reviewdate",
        "sent_at": "sentat surveysentat reviewcreationdate invitedat senddate",
        "score": "score rating reviewscore npsscore nps csatscore csat cesscore ces stars",
        "survey_id": "surveyid reviewid responseid answerid",
        "touchpoint": "touchpoint",
        "transaction_id": "transactionid " + _ORDER,
        "interaction_id": "interactionid ticketid caseid",
        "replied_at": "repliedat",
        "comment": "comment reviewcommentmessage reviewtext feedback verbatim",
        "loaded_at": "loadedat ingestedat",
    },
    "subscriptions": {
        "customer_id": _CUSTOMER,
        "started_at": "startedat startdate subscriptionstart contractstart start activatedat",
        "subscription_id": "subscriptionid contractid subscription id",
        "ended_at": "endedat enddate subscriptionend terminatedat churnedat churndate end",
        "cancel_requested_at": "cancelrequestedat noticeat cancellationrequestedat",
        "renews_at": "renewsat renewaldate nextbillingdate currentperiodend",
        "trial_ends_at": "trialendsat trialend",
        "plan": "plan planname tier plantype",
        "mrr": "mrr monthlyrecurringrevenue monthlyprice monthlyamount",
        "seats": "seats licences licenses",
        "loaded_at": "loadedat ingestedat",
    },
    "events": {
        "customer_id": _CUSTOMER.replace("userid user ", ""),
        "ts": "ts eventtime eventtimestamp occurredat eventdate " + _TIME,
        "event": "event eventname eventtype action activity",
        "user_id": "userid user",
        "channel": "channel",
        "value": "value eventvalue",
        "loaded_at": "loadedat ingestedat",
    },
    "treatments": {
        "customer_id": _CUSTOMER,
        "ts": "ts contactedat treatedat sentat " + _TIME,
        "campaign": "campaign campaignid campaignname offer",
        "treated": "treated istreated treatment exposed contacted",
        "randomised": "randomised randomized",
        "cost": "cost",
        "loaded_at": "loadedat ingestedat",
    },
    "customers": {
        "customer_id": _CUSTOMER + " id",
        "signup_at": "signupat signupdate registeredat registrationdate joinedat joindate "
        "customersince createdat",
        "contactable": "contactable optin marketingconsent marketingoptin",
        "label": "churn churned ischurn churnlabel churnflag churnvalue label attrition "
        "attritionflag exited hasleft",
    },
}

TELLTALES: dict[str, tuple[str, ...]] = {
    "transactions": ("amount", "unit_price", "promised_at", "delivered_at"),
    "interactions": ("first_response_at", "resolved_at", "closed_at", "topic", "escalated_at"),
    "surveys": ("score",),
    "subscriptions": ("subscription_id", "ended_at", "plan", "mrr", "renews_at"),
    "events": ("event",),
    "treatments": ("campaign", "treated"),
    "customers": ("label", "signup_at"),
}
"""Columns of which a file must have one to be taken for a table."""

FILE_WORDS: dict[str, str] = {
    "transactions": "transaction order invoice purchase sale receipt payment cdnow retail",
    "interactions": "interaction ticket case support conversation call contact",
    "surveys": "survey review nps csat feedback rating",
    "subscriptions": "subscription contract",
    "events": "event usage activity click session",
    "treatments": "treatment campaign",
    "customers": "customer client member account churn user",
}
