// The edge's way to the cloud.
export { createDelivery, type Delivery, type DeliveryOptions, type DeliveryStatus } from './deliver.ts';
export { headType } from '../log/head.ts';
