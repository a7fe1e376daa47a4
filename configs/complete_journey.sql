-- Item lines to baskets: what a household paid at one till is one transaction.
SELECT
    household_id,
    basket_id,
    transaction_timestamp AT TIME ZONE 'UTC' AS bought_at,  -- 11:53 there is 06:53 in the shops
    min(store_id) AS store_id,
    sum(quantity) AS items,
    sum(sales_value::DECIMAL(18, 4)) AS paid,
    sum((retail_disc + coupon_disc + coupon_match_disc)::DECIMAL(18, 4)) AS saved
FROM lines
GROUP BY household_id, basket_id, transaction_timestamp
